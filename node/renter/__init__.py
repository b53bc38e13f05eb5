"""The renter: buys storage from farmers it does not trust, and pays only for what they prove.

`Renter` (node.renter.renter) holds one database, one chain, the keys and a clock, and is made of five parts:

    renter.peers      await add(url)   list()   find(node)   await remove(node)   await quotes(nodes=None)
    renter.channels   list()   show(channel)   await refresh()   await withdrawal_opens(channel)
    renter.funding    await plan(farmers=None, seconds=, stored_bytes= | amount=)
                      await fund(plan)   await fund_unsigned(plan)
    renter.exits      await plan_push(channels)   await plan_close(channels)   await plan_withdraw(channels)
                      await send(plan)
    renter.files      await put(source, name, k=, n=, segment_size=, seconds=, progress=)
                      await get(name, out, offset=, length=, progress=)   ls()   stat(name)   await rm(name)
                      await keep(name, until)
    renter.repairs    plan(names=None, full=)   await repair(names=None, full=, cap=)
    renter.audits     await audit(names=None, rounds=1)
    renter.payments   await pay_outstanding(farmers=None)   await prepay(seconds)

    await renter.run(stop, sleep=, on_tick=)   what `tithe rent run` does until `stop` is set
    await renter.recover()                     finishes what a killed process left; `Renter.open` calls it

What comes back is data (node.renter.reports); what goes wrong with one farmer is a Fault in it, what
makes the whole impossible is an exception (node.renter.errors) that names the remedy.
"""

from node.renter.context import Keys
from node.renter.renter import TABLES, Renter

__all__ = ["TABLES", "Keys", "Renter"]
