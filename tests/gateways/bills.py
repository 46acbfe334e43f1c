"""Daily bills as both gateways write them, from their own books: made at 9:00 of the next day in Beijing."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

from tests.gateways.books import Books, Course, Fault, Refused, Trade

BEIJING = timezone(timedelta(hours=8))
MADE = timedelta(hours=9)
WECHAT_HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
ALIPAY_HEAD = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


class Movement(NamedTuple):
    """Money in, or back where `refund` has a number."""

    trade: Trade
    at: datetime
    transaction: str
    amount: int
    refund: str = ""
    refund_id: str = ""


def movements(books: Books, merchant: str, seller: str, day: date) -> list[Movement]:
    """Those of that day. Raises Refused before the bill is made, and where nothing moved."""
    if books.now < datetime(day.year, day.month, day.day, tzinfo=BEIJING) + timedelta(days=1) + MADE:
        raise Refused("BILL_CREATING")
    trades = [each for each in books.trades.values() if (each.merchant, each.seller) == (merchant, seller)]
    found = [each for trade in trades for each in _of(trade) if each.at.astimezone(BEIJING).date() == day]
    if not found:
        raise Refused("NO_BILL")
    return sorted(found, key=lambda each: each.at)


def wechat(found: list[Movement], merchant: str, seller: str) -> bytes:
    """CSV in UTF-8, each cell behind a backtick, two lines of sums at the end."""
    rows = [",".join(f"`{cell}" for cell in _wechat_cells(each, merchant, seller)) for each in found]
    sums = f"总交易单数,应结订单总金额\r\n`{len(rows)},`0.00\r\n"
    return ("\ufeff" + "\r\n".join([WECHAT_HEAD, *rows]) + "\r\n" + sums).encode()


def alipay(found: list[Movement], seller: str, day: date) -> bytes:
    """An archive of two files in GBK: sums, and single movements."""
    rows = [",".join(f"{cell}\t" for cell in _alipay_cells(each)) for each in found]
    line = "-" * 40
    text = [
        "#支付宝业务明细查询",
        f"#账号：[{seller}0156]",
        f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]",
        f"#{line}业务明细列表{line}",
        ALIPAY_HEAD,
        *rows,
        f"#{line}业务明细列表结束{line}",
        "",
    ]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{seller}_{day:%Y%m%d}_sum.csv", "#支付宝业务汇总查询\r\n".encode("gb18030"))
        archive.writestr(f"{seller}_{day:%Y%m%d}.csv", "\r\n".join(text).encode("gb18030"))
    return out.getvalue()


def packed(content: bytes, fault: str) -> bytes:
    """As it is sent, or what a hostile gateway would send in its place."""
    if fault == Fault.BOMB:
        return gzip.compress(b"0" * (300 * 1024 * 1024))
    return content[:-9] if fault == Fault.MALFORMED else content


def digest(content: bytes) -> str:
    """As WeChat Pay tells it, of the unpacked file."""
    return hashlib.sha1(content).hexdigest()


def _of(trade: Trade) -> Iterator[Movement]:
    for paid in trade.transactions:
        yield Movement(trade, paid.at, paid.id, paid.amount)
    for refund in trade.refunds.values():
        if refund.course == Course.DONE and refund.at:
            yield Movement(trade, refund.at, trade.transactions[0].id, refund.amount, refund.number, refund.id)


def _wechat_cells(each: Movement, merchant: str, seller: str) -> tuple[str, ...]:
    paid, back = ("0.00", _yuan(each.amount)) if each.refund else (_yuan(each.amount), "0.00")
    state = "REFUND" if each.refund else "SUCCESS"
    return (
        *(_time(each.at), "wx1", merchant, seller or "0", "", each.transaction, each.trade.number, "openid", "NATIVE"),
        *(state, "OTHERS", "CNY", paid, "0.00", each.refund_id or "0", each.refund or "0", back, "0.00", "", ""),
        *("Renewal", "", "0.00", "0.60%", paid, back, ""),
    )


def _alipay_cells(each: Movement) -> tuple[str, ...]:
    amount = f"-{_yuan(each.amount)}" if each.refund else _yuan(each.amount)
    kind, moment = "退款" if each.refund else "交易", _time(each.at)
    return (
        *(each.transaction, each.trade.number, kind, "Renewal", moment, moment, "", "", "", "", "sim***"),
        *(amount, amount, each.refund, "0.00", "0.00", ""),
    )


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _yuan(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"
