"""The commands about people: who may sign in, with which password, and since when a login is somebody's alone."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer

from sigmax_local import people, user_view
from sigmax_local.gateway import Gateway
from sigmax_local.stacks import AsOption, StackOption, console
from sigmax_local.steering_talk import show, talk_with

app = typer.Typer(rich_markup_mode="rich")
user_app = typer.Typer(no_args_is_help=True, help="People who may sign in: sigmax user add mina --role trader")


class Role(StrEnum):
    """What a person may do."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


@user_app.command("add")
def user_add(
    context: typer.Context,
    *,
    login: Annotated[str, typer.Argument(help="Lower case letters, digits, and . _ @ -")],
    role: Annotated[Role, typer.Option(help="viewer looks, trader steers named accounts, admin rules.")] = Role.VIEWER,
    account: Annotated[list[str] | None, typer.Option(help="An account a trader may steer; repeat for more.")] = None,
    by: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Add a person; the password is made and shown once, and that person then chooses another.

    Example: sigmax user add mina --role trader --account paper, and then as mina: sigmax user password --as mina
    """
    accounts = account or (["paper"] if role is Role.TRADER else [])
    body = {"login": login, "role": role.value, "accounts": accounts}
    added = talk_with(context, stack, by, lambda gateway: gateway.post("/users", body))
    console.print(user_view.added(added, by), soft_wrap=True)


@user_app.command("list")
def user_list(context: typer.Context, *, login: AsOption = people.ADMIN, stack: StackOption = None) -> None:
    """Show who may sign in, and from when on each login counts as another person's in what takes two people.

    Example: sigmax user list
    """
    show(context, stack, login, "/users", user_view.users)


@user_app.command("password")
def user_password(context: typer.Context, *, login: AsOption = people.ADMIN, stack: StackOption = None) -> None:
    """Choose another password for your own login; all its sessions end. At least 15 characters.

    A login whose password an admin made is no second person beside that admin before its owner has done this.

    Example: sigmax user password --as mina
    """

    async def change(gateway: Gateway) -> Any:
        new = await asyncio.to_thread(
            typer.prompt, f"New password of {login}", hide_input=True, confirmation_prompt=True, err=True
        )
        await gateway.change_password(str(new))
        return await gateway.get("/auth/me")

    console.print(user_view.changed(talk_with(context, stack, login, change)), soft_wrap=True)


@app.command()
def token(
    context: typer.Context,
    *,
    login: Annotated[str, typer.Argument(help="Whose token.")] = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Print an access token for the API; it lasts ten minutes.

    Example: curl -H "Authorization: Bearer $(sigmax token)" http://127.0.0.1:8080/api/v1/positions
    """

    async def keep(gateway: Gateway) -> str:
        return gateway.keep_session()

    print(talk_with(context, stack, login, keep))
