"""XML read as a stream, without document types and so without entities."""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.parsers import expat

from f2llm.records.errors import InputError
from f2llm.rows.archives import READ_BYTES, RawFile


def xml_elements(file: RawFile, member: str, *, tag: str) -> Iterator[ElementTree.Element]:
    """Yield each element `tag` of the document; it is emptied once the next one is asked for.

    Raises:
        InputError: not XML, or the document declares a type (entities can be a bomb or read files).
    """
    where = file.where(member)

    def refuse(*_: object) -> None:
        raise InputError(f"{where}: the document declares a DOCTYPE, which is refused; remove the declaration")

    guard, parser = expat.ParserCreate(), ElementTree.XMLPullParser(["end"])
    guard.StartDoctypeDeclHandler = refuse
    try:
        with file.open(member) as stream:
            while block := stream.read(READ_BYTES):
                guard.Parse(block)
                parser.feed(block)
                for _, element in parser.read_events():
                    if element.tag == tag:
                        yield element
                        element.clear()
            guard.Parse(b"", True)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise InputError(f"{where}: not well-formed XML ({error}); fetch it again or mend the file") from error
