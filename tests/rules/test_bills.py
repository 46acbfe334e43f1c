"""Daily bills: read whole or not at all, and each line judged beside what we know (F92, F102)."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.bill_files import MAX_BYTES, MAX_LINES, BillRefused
from billing.bills import READERS, BillLine, Known, LineKind, Result, day_of, judge, read_bill

DAY = date(2026, 11, 26)
WECHAT_HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
ALIPAY_HEAD = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,"
    "订单金额（元）,商家实收（元）,服务费（元）,退款批次号/请求号,备注"
)


def wechat_line(number: str = "A1B2C3", *, state: str = "SUCCESS", at: str = "2026-11-26 10:00:00", **more: str) -> str:
    cells = {"sub": "0", "paid": "199.00", "back": "0.00", "currency": "CNY", "refund": "0"} | more
    return ",".join(
        f"`{cell}"
        for cell in (
            *(at, "wx1", "1900000001", cells["sub"], "", f"42{number}", number, "openid", "NATIVE", state, "OTHERS"),
            *(
                cells["currency"],
                cells["paid"],
                "0.00",
                "0",
                cells["refund"],
                cells["back"],
                "0.00",
                "",
                "",
                "Renewal, 1 year",
            ),
            *("", "1.19", "0.60%", cells["paid"], cells["back"], ""),
        )
    ).replace("Renewal, 1 year", "Renewal")


def wechat(*lines: str, count: int | None = None) -> bytes:
    sums = "总交易单数,应结订单总金额,退款总金额\r\n" + f"`{len(lines) if count is None else count},`199.00,`0.00\r\n"
    return ("\ufeff" + "\r\n".join([WECHAT_HEAD, *lines]) + "\r\n" + sums).encode()


def alipay_text(*lines: str, end: bool = True, account: str = "20880000000000010156") -> str:
    rows = [
        "#支付宝业务明细查询",
        f"#账号：[{account}]",
        "#起始日期：[2026年11月26日 00:00:00]   终止日期：[2026年11月27日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        ALIPAY_HEAD,
        *lines,
        *(
            ["#-----------------------------------------业务明细列表结束------------------------------------"]
            if end
            else []
        ),
        "#交易合计：1笔，商家实收共199.00元，商家优惠共0.00元",
    ]
    return "\r\n".join(rows) + "\r\n"


def alipay_line(number: str = "A1B2C3", *, kind: str = "交易", amount: str = "199.00", refund: str = "") -> str:
    cells = (f"2026112622{number}", number, kind, "Renewal", "2026-11-26 09:59:00", "2026-11-26 10:00:00", "", amount)
    return ",".join(f"{cell}\t" for cell in (*cells, amount, "1.19", refund, ""))


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return out.getvalue()


def sandbox(*lines: str, count: int | None = None) -> bytes:
    head = "merchant_id,number,transaction_id,kind,amount,currency,time"
    return "\r\n".join([head, *lines, f"end,{len(lines) if count is None else count}", ""]).encode()


SANDBOX_LINE = "M1,A1B2C3,T1,PAYMENT,199.00,CNY,2026-11-26 10:00:00"


def refused(provider: str, content: bytes, day: date = DAY) -> str:
    with pytest.raises(BillRefused) as told:
        read_bill(provider, content, day=day)
    return told.value.code


def test_a_wechat_bill_is_read_with_its_refunds() -> None:
    content = wechat(
        wechat_line(),
        wechat_line("D4E5F6", state="REFUND", back="50.00"),
        wechat_line("X", state="REVOKED"),
        wechat_line("D4E5F6", state="REFUND", back="50.00", refund="R7"),
    )
    assert read_bill("wechat", content, day=DAY) == [
        BillLine(LineKind.PAYMENT, "1900000001", "A1B2C3", "42A1B2C3", 19_900, "CNY", at(2), 2),
        BillLine(LineKind.REFUND, "1900000001", "D4E5F6", "42D4E5F6", 5_000, "CNY", at(2), 3),
        BillLine(LineKind.REFUND, "1900000001", "D4E5F6", "42D4E5F6", 5_000, "CNY", at(2), 5, "R7"),
    ]


def at(hour: int) -> datetime:
    return datetime(2026, 11, 26, hour, tzinfo=UTC)


def test_in_partner_mode_the_money_is_the_sub_merchants() -> None:
    [line] = read_bill("wechat", wechat(wechat_line(sub="1600000002")), day=DAY)
    assert line.merchant_id == "1600000002"


@pytest.mark.parametrize("packed", [True, False])
def test_an_alipay_bill_is_read_from_the_right_file_of_its_archive(packed: bool) -> None:
    text = alipay_text(alipay_line(), alipay_line("D4E5F6", kind="退款", amount="-50.00", refund="R7")).encode(
        "gb18030"
    )
    sums = "#支付宝业务汇总查询\r\n门店编号,交易笔数\r\n".encode("gb18030")
    content = zipped(a_sums=sums, b_lines=text) if packed else text
    assert [
        (line.kind, line.merchant_id, line.number, line.amount, line.refund_number)
        for line in read_bill("alipay", content, day=DAY)
    ] == [
        (LineKind.PAYMENT, "2088000000000001", "A1B2C3", 19_900, ""),
        (LineKind.REFUND, "2088000000000001", "D4E5F6", 5_000, "R7"),
    ]


def test_a_sandbox_bill_is_read() -> None:
    [line] = read_bill("sandbox", sandbox(SANDBOX_LINE), day=DAY)
    assert line == BillLine(LineKind.PAYMENT, "M1", "A1B2C3", "T1", 19_900, "CNY", at(2), 2)
    assert read_bill("sandbox", sandbox(), day=DAY) == []


@pytest.mark.parametrize(
    ("provider", "content", "code"),
    [
        ("wechat", wechat(wechat_line(), count=2), "incomplete"),
        ("wechat", (WECHAT_HEAD + "\r\n" + wechat_line() + "\r\n").encode(), "incomplete"),
        ("wechat", sandbox(SANDBOX_LINE), "not_a_bill"),
        ("wechat", wechat(wechat_line(paid="1e3")), "amount"),
        ("wechat", wechat(wechat_line(paid="-1.00")), "amount"),
        ("wechat", wechat(wechat_line(currency="XXX")), "amount"),
        ("wechat", wechat(wechat_line(at="26.11.2026")), "time"),
        ("wechat", wechat(wechat_line(number="")), "cell"),
        ("wechat", wechat(wechat_line(number="A" * 65)), "cell"),
        ("wechat", wechat(wechat_line(at="2026-11-25 23:59:59")), "other_day"),
        ("wechat", wechat(wechat_line()).decode().encode("gb18030"), "encoding"),
        ("wechat", b"", "not_a_bill"),
        ("wechat", b"a\0b", "not_a_bill"),
        ("alipay", alipay_text(alipay_line(), end=False).encode(), "incomplete"),
        ("alipay", alipay_text(alipay_line(), account="").encode(), "incomplete"),
        ("alipay", zipped(other=b"x"), "not_a_bill"),
        ("alipay", b"PK\x03\x04 no archive", "not_a_bill"),
        ("alipay", zipped(bomb=b"0" * (41 * 1024 * 1024)), "too_large"),
        ("sandbox", sandbox(SANDBOX_LINE, count=2), "incomplete"),
        ("sandbox", sandbox(SANDBOX_LINE.replace("PAYMENT", "GIFT")), "not_a_bill"),
        ("sandbox", sandbox("," * 200), "not_a_bill"),
        ("sandbox", sandbox("x" * 3_000), "not_a_bill"),
        ("sandbox", b"x" * (MAX_BYTES + 1), "too_large"),
        ("paypal", sandbox(SANDBOX_LINE), "no_reader"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,  # an archive holds the time: names would differ
)
def test_what_is_no_whole_bill_of_that_gateway_and_day_is_refused(provider: str, content: bytes, code: str) -> None:
    assert refused(provider, content) == code


def test_a_bill_of_too_many_lines_is_refused() -> None:
    """F92."""
    assert refused("sandbox", sandbox(*[SANDBOX_LINE] * (MAX_LINES + 60))) == "too_many_lines"


@given(
    content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: wechat(text)),
    provider=st.sampled_from(sorted(READERS)),
)
@example(content=sandbox(SANDBOX_LINE)[:-20], provider="sandbox")
def test_no_file_does_worse_than_being_refused(content: bytes, provider: str) -> None:
    try:
        read_bill(provider, content, day=DAY)
    except BillRefused:
        return


def test_a_cut_anywhere_is_noticed() -> None:
    """Half a bill would report payments as missing that are not."""
    whole = sandbox(SANDBOX_LINE, SANDBOX_LINE.replace("T1", "T2"))
    for length in range(len(whole) - 3):
        assert refused("sandbox", whole[:length])


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (datetime(2026, 11, 25, 15, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 25, 16, tzinfo=UTC), True),
        (datetime(2026, 11, 26, 15, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 26, 16, tzinfo=UTC), False),
    ],
)
def test_a_bills_day_is_that_of_beijing(moment: datetime, inside: bool) -> None:
    first, end = day_of(DAY)
    assert (first <= moment < end) is inside


LINE = BillLine(LineKind.PAYMENT, "M1", "A1B2C3", "T1", 19_900, "CNY", at(2), 2)
BACK = LINE._replace(kind=LineKind.REFUND, amount=5_000, refund_number="R2")
PAID = Known(True, "T1", 19_900, "CNY")


@pytest.mark.parametrize(
    ("line", "known", "result"),
    [
        (LINE, PAID, Result.MATCHED),
        (LINE._replace(amount=19_901), PAID, Result.DIFFERS),
        (LINE._replace(currency="USD"), PAID, Result.DIFFERS),
        (LINE, None, Result.UNKNOWN),
        (LINE, Known(False, "", 0, "CNY"), Result.TO_SETTLE),
        (LINE._replace(transaction_id="T2"), PAID, Result.TO_SETTLE),
        (LINE._replace(kind=LineKind.REFUND, amount=5_000), PAID, Result.REFUND_MISSING),
        (
            LINE._replace(kind=LineKind.REFUND, amount=5_000),
            PAID._replace(refunds={"R1": 100, "R2": 5_000}),
            Result.MATCHED,
        ),
        (BACK, PAID._replace(refunds={"R1": 100, "R2": 5_000}), Result.MATCHED),
        (BACK, PAID._replace(refunds={"R1": 5_000}), Result.REFUND_MISSING),  # as large, but another one
        (BACK, PAID._replace(refunds={"R1": 5_000, "R2": 4_999}), Result.DIFFERS),
        (LINE._replace(kind=LineKind.REFUND), None, Result.UNKNOWN),
    ],
)
def test_a_line_is_judged_beside_what_we_know(line: BillLine, known: Known | None, result: Result) -> None:
    assert judge(line, known) is result
