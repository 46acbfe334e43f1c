"""Tenants with one row of everything: ours, below it a child with a sibling, above it nobody, beside it a stranger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Model
from django.test import Client

from amp.foundation import clock
from amp.foundation.models import (
    ApiKey,
    Enterprise,
    Event,
    Membership,
    Role,
    Scope,
    User,
)
from amp.foundation.scoping import system_scope
from amp.foundation.services.api_keys import create_api_key
from amp.foundation.services.invitations import Invitee, invite
from amp.foundation.services.saved_views import save_view
from billing.models import (
    BankReceipt,
    Effect,
    MerchantAccount,
    OrderChannel,
    PaymentException,
)
from billing.orders import ExceptionKind
from billing.services.attempts import start_attempt
from billing.services.ordering import open_order
from billing.services.refund_proposals import make_refund
from billing.services.selecting import select_devices
from billing.services.settlement import raise_exception
from catalog.models import ServiceRule, ThingModel
from devices.delivery import CommandKind
from devices.models import Command, DeviceService, ImportKind, LockHold, PublicToken, ServiceKind, Validity
from devices.services.commands import CommandOrder, order_commands
from devices.services.imports import stage_import
from devices.services.validities import ValiditySetting, set_validities
from tests.factories import make_device, make_enterprise, make_member, make_plan, make_product
from tests.isolation.belongings import make_books, make_notices, make_webhook

EVERY_SCOPE = tuple(scope.value for scope in Scope)


@dataclass
class Tenant:
    """One enterprise; `mark` stands in every name of its rows and in nobody else's."""

    mark: str
    enterprise: Enterprise
    rows: dict[type[Model], Model] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def row(self, model: type[Model]) -> int:
        """Id of its row of that model."""
        return int(self.rows[model].pk)

    def staff(self, role: Role = Role.ENTERPRISE_ADMINISTRATOR) -> Client:
        """A browser in which a member of that role has signed in."""
        client = Client()
        client.force_login(self.person(role))
        return client

    def person(self, role: Role = Role.ENTERPRISE_ADMINISTRATOR) -> User:
        """Its member of that role, who joins when first asked for."""
        email = f"{role.value.lower()}@{self.mark}.example"
        with system_scope():
            return User.objects.filter(email=email).first() or make_member(self.enterprise, role, email=email)

    def key(self, *scopes: str) -> str:
        """An API key of the enterprise with these scopes, or with all."""
        wanted = scopes or EVERY_SCOPE
        name = ",".join(wanted)
        if name not in self.keys:
            now, wall = clock.now(), clock.wall()
            with system_scope():
                _row, self.keys[name] = create_api_key(
                    enterprise=self.enterprise,
                    name=f"{self.mark} key",
                    scopes=wanted,
                    expires_at=wall + timedelta(days=30),
                    user=self.person(),
                    now=now,
                    wall=wall,
                )
        return self.keys[name]


def make_tenant(mark: str, parent: Enterprise | None = None) -> Tenant:
    """An enterprise with a row of every table that has pages or endpoints."""
    now, wall = clock.now(), clock.wall()
    with system_scope():
        enterprise = make_enterprise(f"{mark} enterprise", parent=parent, now=now)
        tenant = Tenant(mark, enterprise)
        staff = tenant.person()
        product = make_product(enterprise, name=f"{mark} product", now=now)
        plan = make_plan(product, name=f"{mark} plan", now=now)
        device = make_device(product, key=f"{mark}-1", name=f"{mark} device", serial=f"{mark}-S1", now=now).device
        DeviceService.objects.filter(pk=device.pk).update(state="EXPIRED", trial_ended_at=now, generation=1)
        lock = CommandOrder(device.pk, enterprise.pk, product.pk, CommandKind.LOCK, 1)
        order_commands([lock], now=now)
        hold = LockHold.objects.create(enterprise=enterprise, reason="TOO_MANY", allowance=0, began_at=now)
        Command.objects.filter(device=device).update(hold=hold, due_at=None)
        order = open_order(
            device_ids=[device.pk],
            plan=plan,
            channel=OrderChannel.STAFF,
            created_by=staff.email,
            once_key=None,
            now=now,
        )
        attempt = start_attempt(order=order, now=now, wall=wall)
        raise_exception(
            attempt,
            ExceptionKind.LATE,
            amount=1,
            currency="CNY",
            facts={"code": "paid_late", "order": f"{mark} case"},
            now=now,
        )
        set_validities(
            [ValiditySetting(device.pk, ServiceKind.SIM, now + timedelta(days=9))], actor=staff.email, now=now
        )
        invitee = Invitee(
            email=f"new@{mark}.example",
            full_name=f"{mark} person",
            enterprise=enterprise,
            role=Role.READ_ONLY,
            language="en",
        )
        rows: list[Model] = [
            enterprise,
            product,
            plan,
            device,
            hold,
            order,
            attempt,
            invite(invitee=invitee, user=staff, now=now, wall=wall),
            stage_import(
                kind=ImportKind.DEVICES,
                enterprise=enterprise,
                product=product,
                file_name=f"{mark}.csv",
                content=f"key\n{mark}-2\n".encode(),
                actor=staff.email,
                now=now,
                wall=wall,
            ),
            select_devices(device_ids=[device.pk], owner=staff, now=now, wall=wall),
            save_view(
                owner=staff,
                enterprise=enterprise,
                list_name="devices_device",
                name=f"{mark} view",
                query="state=EXPIRED",
                is_shared=True,
                now=now,
            ),
            make_refund(
                attempt, 1, "CNY", f"{mark} reason", Effect.KEEP, has_lines=False, asked_by=staff.email, now=now
            ),
            attempt.account,
            BankReceipt.objects.create(
                enterprise=enterprise,
                account=attempt.account,
                number=attempt.number,
                reference=f"{mark}-bank",
                amount=1,
                currency="CNY",
                received_at=now,
                recorded_by=staff.email,
                recorded_at=now,
            ),
            DeviceService.objects.get(pk=device.pk),
            *make_notices(mark, device, now=now),
            *make_books(mark, attempt, now=now),
            *make_webhook(mark, enterprise, order.pk, now=now),
            Membership.objects.get(user=staff),
            *(
                model.objects.filter(**{path: enterprise}).latest("pk")
                for model, path in (
                    (ThingModel, "enterprise"),
                    (ServiceRule, "enterprise"),
                    (Command, "enterprise"),
                    (PublicToken, "enterprise"),
                    (PaymentException, "enterprise"),
                    (MerchantAccount, "enterprise"),
                    (Validity, "enterprise"),
                    (Event, "enterprise"),
                )
            ),
        ]
        tenant.rows = {type(row): row for row in rows}
    tenant.key()
    tenant.rows[ApiKey] = _first_key(enterprise)
    return tenant


def _first_key(enterprise: Enterprise) -> ApiKey:
    with system_scope():
        key: ApiKey = ApiKey.objects.filter(enterprise=enterprise).earliest("pk")
    return key
