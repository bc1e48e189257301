"""What people ask of this service; commands for the others pass by."""

from order_worker.handlers import identifying, transfers
from order_worker.handlers.desk import Desk
from sigmax.schemas.control import Command


async def on_command(command: Command, desk: Desk) -> None:
    """Hand a command to whoever carries it out."""
    await transfers.on_command(command, desk)
    await identifying.on_command(command, desk)
