"""A T-SQL batch cut into its statements, with or without semicolons between them.

sqlglot's tokenizer finds the words; the cutting is done here because T-SQL needs no separator between statements and
because sqlglot takes some names for one that SQL Server does not (real and float, SYSDATETIME and GETDATE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot.errors import ParseError, TokenError

from sandbox.sqlserver.errors import SqlServerError, statement_not_emulated, syntax


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STATEMENT_WORDS = _words(
    "SET USE BEGIN COMMIT ROLLBACK SAVE DECLARE EXEC EXECUTE INSERT UPDATE DELETE CREATE DROP ALTER "
    "TRUNCATE IF PRINT GRANT REVOKE DENY SELECT WITH WHILE RETURN RAISERROR THROW WAITFOR MERGE BULK "
    "BACKUP RESTORE KILL DBCC CHECKPOINT RECONFIGURE SHUTDOWN OPEN CLOSE FETCH DEALLOCATE"
)
_ENDS_A_QUERY = STATEMENT_WORDS - {"WITH", "FETCH", "OPEN", "CLOSE", "SAVE", "KILL"}
_ENDS_A_DEFINITION = _words("SELECT INSERT CREATE GRANT USE IF EXEC EXECUTE PRINT BEGIN COMMIT ROLLBACK")
_WHOLE_BATCH = _words("VIEW PROC PROCEDURE FUNCTION TRIGGER")
_SET_OPERATORS = _words("UNION ALL EXCEPT INTERSECT")
_RENAMED = {"REAL": "float(24)", "SYSDATETIME": "EMULATED_SYSDATETIME", "0X": "CAST('' AS varbinary(1))"}
# Forms that sqlglot reads in T-SQL although SQL Server does not.
_FOREIGN = frozenset({"LIMIT", "DCOLON", "QUALIFY", "ILIKE", "RLIKE", "DPIPE", "ARROW", "DARROW"})
_SECURITY = _words("GRANT REVOKE DENY")
_GO = re.compile(r"(?im)^[ \t]*GO(?:[ \t]+\d+)?[ \t]*;?[ \t]*(?:--[^\n]*)?$")


@dataclass(frozen=True)
class Statement:
    """One statement: `word` is its first keyword, `text` the statement as sqlglot shall read it."""

    word: str
    text: str
    words: tuple[str, ...] = ()
    condition: str | None = None
    then: tuple[Statement, ...] = field(default=())
    otherwise: tuple[Statement, ...] = field(default=())


def split_script(text: str) -> Iterator[str]:
    """Yield the batches of a script whose batches are separated by GO lines."""
    for batch in _GO.split(text):
        if batch.strip():
            yield batch


def split_batch(text: str) -> tuple[Statement, ...]:
    """Cut the batch; raises SQL Server's error 102 or 105 when it cannot be read as T-SQL words at all."""
    try:
        tokens = sqlglot.tokenize(text, read="tsql")
    except TokenError as exc:
        raise SqlServerError(105, "Unclosed quotation mark after the character string.", 15) from exc
    return _Splitter(text, tokens).statements()


def parse(statement: Statement) -> sqlglot.exp.Expr:
    """Parse one statement; what sqlglot cannot read is error 102 near the offending word."""
    try:
        parsed = sqlglot.parse(statement.text, read="tsql")
    except ParseError as exc:
        near = next((str(error.get("highlight")) for error in exc.errors if error.get("highlight")), statement.word)
        raise syntax(near) from exc
    except TokenError as exc:
        raise syntax(statement.word) from exc
    if len(parsed) != 1 or parsed[0] is None:
        raise syntax(statement.words[-1] if statement.words else statement.word)
    return parsed[0]


class _Splitter:
    def __init__(self, text: str, tokens: Sequence[Any]) -> None:
        self._text = text
        self._tokens = tokens
        self._position = 0

    def _word(self, index: int) -> str:
        """Return the token in upper case; quoted names and texts are no words."""
        if index >= len(self._tokens):
            return ""
        token = self._tokens[index]
        if token.token_type.name in {"STRING", "NATIONAL_STRING", "HEX_STRING"} or self._text[token.start] in '["':
            return ""
        return str(token.text).upper()

    def statements(self, *, block: bool = False) -> tuple[Statement, ...]:
        found: list[Statement] = []
        while True:
            while self._word(self._position) == ";":
                self._position += 1
            if self._position >= len(self._tokens):
                if block:
                    raise syntax("BEGIN")
                return tuple(found)
            if block and self._word(self._position) == "END":
                self._position += 1
                return tuple(found)
            found.append(self._statement())

    def _statement(self) -> Statement:
        word, following = self._word(self._position), self._word(self._position + 1)
        if word == "IF":
            return self._if()
        if word == "BEGIN" and following not in {"TRAN", "TRANSACTION"}:
            if following in {"TRY", "CATCH", "DISTRIBUTED"}:
                raise statement_not_emulated(f"BEGIN {following}")
            self._position += 1
            return Statement("BLOCK", "", then=self.statements(block=True))
        start = self._position
        self._position = self._end_of(word, start)
        if self._position == start:
            raise syntax(self._tokens[start].text)
        return Statement(
            word,
            self._rewritten(start, self._position),
            tuple(self._word(index) or self._tokens[index].text for index in range(start, self._position)),
        )

    def _if(self) -> Statement:
        start = self._position + 1
        index, depth = start, 0
        while index < len(self._tokens):
            word = self._word(index)
            depth += (word == "(") - (word == ")")
            if depth == 0 and word in STATEMENT_WORDS:
                break
            index += 1
        if index in {start, len(self._tokens)}:
            raise syntax("IF")
        condition = self._rewritten(start, index)
        self._position = index
        then = (self._statement(),)
        otherwise: tuple[Statement, ...] = ()
        mark = self._position
        while self._word(self._position) == ";":
            self._position += 1
        if self._word(self._position) == "ELSE":
            self._position += 1
            otherwise = (self._statement(),)
        else:
            self._position = mark
        return Statement("IF", "", condition=condition, then=then, otherwise=otherwise)

    def _end_of(self, first: str, start: int) -> int:
        index, depth, cases = start + 1, 0, 0
        bodies = 1 if first in {"INSERT", "WITH"} else 0
        sets = 1 if first == "UPDATE" else 0
        while index < len(self._tokens):
            word = self._word(index)
            if word == "(":
                depth += 1
            elif word == ")":
                depth -= 1
            elif depth == 0:
                if word == ";":
                    return index
                if word == "CASE":
                    cases += 1
                elif word == "END":
                    if not cases:
                        return index
                    cases -= 1
                elif word == "ELSE" and not cases:
                    return index
                elif word == "VALUES" and first == "INSERT":
                    bodies = 0
                elif word == "SET" and sets:
                    sets -= 1
                elif word in {"SELECT", "INSERT", "UPDATE", "DELETE", "EXEC", "EXECUTE", "WITH"} and bodies:
                    if word != "WITH":
                        bodies -= 1
                    sets += word == "UPDATE"
                    bodies += word == "INSERT"
                elif self._begins_another(first, index, word):
                    return index
            index += 1
        return index

    def _begins_another(self, first: str, index: int, word: str) -> bool:
        previous, following = self._word(index - 1), self._word(index + 1)
        if first in _SECURITY | {"MERGE"}:
            return False
        if first in {"CREATE", "ALTER", "DROP"}:
            if self._word(self._position + 1) in _WHOLE_BATCH:
                return False
            if word == "CREATE" and previous == "OR":
                return False
            if word in {"ALTER", "DROP"}:
                return following in {"TABLE", "DATABASE", "INDEX", "LOGIN", "USER", "ROLE"}
            return word in _ENDS_A_DEFINITION
        if word == "SELECT" and previous in _SET_OPERATORS:
            return False
        if first in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            return word in _ENDS_A_QUERY
        return word in STATEMENT_WORDS and word not in {"IF", "WITH", "OPEN", "CLOSE", "FETCH"}

    def _rewritten(self, start: int, stop: int) -> str:
        if start >= stop:
            return ""
        parts: list[str] = []
        at = self._tokens[start].start
        for index in range(start, stop):
            token = self._tokens[index]
            if token.token_type.name in _FOREIGN and self._word(start) not in _SECURITY:
                raise syntax(token.text)
            word = self._word(index)
            if word in {"REAL", "0X"} or (word == "SYSDATETIME" and self._word(index + 1) == "("):
                parts += [self._text[at : token.start], _RENAMED[word]]
                at = token.end + 1
        parts.append(self._text[at : self._tokens[stop - 1].end + 1])
        return "".join(parts)
