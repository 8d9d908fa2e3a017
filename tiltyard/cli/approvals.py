"""`tiltyard approvals`: which versions wait for a person's decision."""

from tiltyard.cli.options import HERE, JsonOption, ProjectOption


def approvals(*, project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """List the versions that wait for a person's decision; those whose time is over are closed.

    Examples:
      tiltyard approvals
      tiltyard approvals --json
    """
    from tiltyard.cli.opening import find_ledger
    from tiltyard.cli.output import say, write_json
    from tiltyard.cli.tables import show_table
    from tiltyard.registry.approvals import waiting

    found = waiting(find_ledger(project))
    if json:
        write_json([approval.model_dump(mode="json") for approval in found])
        return
    if not found:
        say("No version waits for a decision.")
        return
    headings = ("version", "would replace", "asked (UTC)", "until (UTC)", "why", "verdict")
    rows = [
        (
            str(approval.version),
            "" if approval.replaces is None else str(approval.replaces),
            f"{approval.wanted:%Y-%m-%d %H:%M}",
            f"{approval.expires:%Y-%m-%d %H:%M}",
            approval.question,
            approval.verdict,
        )
        for approval in found
    ]
    show_table(headings, rows)
    version = found[0].version
    say(f'Decide by `tiltyard approve {version} --reason "…"` or `tiltyard reject {version} --reason "…"`.')
