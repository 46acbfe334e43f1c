"""Pages composed at the roof."""
from django.http import HttpRequest, HttpResponse


def device_details(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(pk)
