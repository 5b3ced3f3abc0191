"""A reader for tables in Markdown."""


def tables(text):
    """Return the tables of a text, each a list of rows of cells; a rule must follow each header."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            assert len({len(row) for row in rows}) == 1
            assert set("".join(rows[1])) <= set("-:")
            found.append([rows[0], *rows[2:]])
    return found
