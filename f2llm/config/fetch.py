"""Where the files of a source or model lie, and under which licence."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Files to fetch from one place.

    Files of the kind hub are verified against the hub's own listing at a commit; the others by
    `sha256`. What the stanza leaves open (revision or sha256) is locked at the first fetch.
    """

    kind: str  # package (a wheel of the package index) | local (a path) | hub (a repository) | http (a URL)
    sha256: str = ""  # 64 hex digits; required for packages
    package: str = ""  # kind package: distribution name
    version: str = ""  # kind package: exact version
    platform: str = ""  # kind package: pip platform tag for wheels that are not pure Python
    path: str = ""  # kind local: file or folder, relative to the repository root
    repository: str = ""  # kind hub: owner/name
    repository_type: str = "dataset"  # kind hub: dataset | model
    revision: str = ""  # kind hub: commit, 40 hex digits; empty: the head of `branch`, locked at the first fetch
    branch: str = ""  # kind hub: where an open revision is looked up; empty: main
    files: tuple[str, ...] = ()  # kind hub: glob patterns ("*" also crosses "/"); each must match a file
    url: str = ""  # kind http
    mirrors: tuple[str, ...] = ()  # kind http: URLs of the same file, tried in this order when `url` fails


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Rights on the data of a source, and what follows from them."""

    id: str  # SPDX id or a LicenseRef
    commercial: str  # yes | no | unknown
    note: str = ""
