"""The words for what is wrong with a file or a row of it: what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_PROBLEMS = {
    # the file
    "file_too_large": gettext_lazy("The file is larger than 10 MB. Split it."),
    "file_empty": gettext_lazy("The file is empty. Its first line must name the columns."),
    "no_rows": gettext_lazy("There is no row below the header."),
    "too_many_rows": gettext_lazy("The file has more than 50,000 rows. Split it."),
    "too_many_lines": gettext_lazy("The file has more than 200,000 lines, most of them empty. Remove the empty ones."),
    "too_many_columns": gettext_lazy("The file has more than %s columns. Remove those that are not needed."),
    "column_missing": gettext_lazy("The first line must name a column “%s”."),
    "column_twice": gettext_lazy("The column “%s” is named twice. Keep one."),
    "old_excel": gettext_lazy("This is an old Excel file (.xls). Save it as .xlsx or as “CSV UTF-8”."),
    "utf16": gettext_lazy("The file is UTF-16 text. Save it as “CSV UTF-8” or as .xlsx."),
    "not_a_workbook": gettext_lazy("The file can't be read as a workbook. Save it again as .xlsx, or as “CSV UTF-8”."),
    "workbook_too_large": gettext_lazy("The workbook unpacks to more than 64 MB. Keep only the sheet with the rows."),
    # a line
    "line_too_long": gettext_lazy("The line is longer than 1,000 bytes. Shorten it."),
    "nul_byte": gettext_lazy("The line holds a NUL byte. Save the file as text: “CSV UTF-8”."),
    "not_utf8": gettext_lazy("The line is not UTF-8. Save the file as “CSV UTF-8”."),
    "quotes_not_closed": gettext_lazy("A quotation mark is opened and not closed. Close it on the same line."),
    "too_many_values": gettext_lazy(
        "The line has %s values for %s columns. Put quotation marks around values with commas."
    ),
    "number_rounded": gettext_lazy("The number %s has lost digits. Format the column as text and enter it again."),
    # a value
    "bad_key": gettext_lazy("“%s” is no device key. Use 1 to 64 letters, digits, - or _."),
    "product_missing": gettext_lazy("No product is named. Add a column “product” with its key, or choose one for all."),
    "twice": gettext_lazy("The same is on line %s already. Keep one of the two."),
    "too_long": gettext_lazy("Longer than %s characters. Shorten it."),
    "bad_iccid": gettext_lazy("“%s” is no ICCID. Use up to 22 digits."),
    "bad_service": gettext_lazy("“%s” is no service. Write SIM or RTK."),
    "bad_date": gettext_lazy("“%s” is no date. Write it as 2027-03-31."),
    "date_out_of_range": gettext_lazy("%s is not between the year 2000 and 30 years from now. Check the year."),
    "ends_before_start": gettext_lazy("The end is not after the start. Check both dates."),
    # what there is already
    "unknown_product": gettext_lazy("“%s” is no product that this enterprise uses. Check the product key."),
    "unknown_device": gettext_lazy(
        "“%s” is no device of that product in this enterprise or below it. Check both keys."
    ),
    "no_such_device": gettext_lazy("“%s” is no device of yours. Check the key."),
    "no_such_device_of_product": gettext_lazy("“%s” is no device of yours with the product “%s”. Check both keys."),
    "several_devices": gettext_lazy("“%s” is a device of several products. Add a column “product” with its key."),
    "key_unavailable": gettext_lazy("“%s” can't be registered for this product. Check the key."),
    "other_details": gettext_lazy(
        "The device is registered already with something else here: an import changes no device."
    ),
    "not_possible": gettext_lazy("The device was terminated meanwhile. Remove the row."),
    "failed": gettext_lazy("The row could not be stored. Import it again; if that fails, ask support."),
}
_COLUMNS = {
    "key": gettext_lazy("Device key"),
    "serial": gettext_lazy("Serial number"),
    "name": gettext_lazy("Name"),
    "product": gettext_lazy("Product"),
    "service": gettext_lazy("Service"),
    "until": gettext_lazy("Valid until"),
    "from": gettext_lazy("Valid from"),
}


def problem_sentence(code: str, arguments: Sequence[str] = ()) -> str:
    """What is wrong and what to do, in the reader's language."""
    sentence = str(_PROBLEMS.get(code, code))
    return sentence % tuple(arguments) if arguments and "%s" in sentence else sentence


def column_word(name: str) -> str:
    """A column as the reader calls it."""
    return "ICCID" if name == "iccid" else str(_COLUMNS.get(name, name)) if name else _("whole line")
