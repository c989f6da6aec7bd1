"""People with a LINE account; whether they are friends of a channel stands in `chats`."""

from collections.abc import Iterable
from dataclasses import dataclass

from simulator import ids
from simulator.state import Documents, Store

KIND = "person"


@dataclass(slots=True)
class Person:
    """Somebody; `about` is one line in Japanese for whoever plays them."""

    user_id: str
    name: str
    about: str = ""
    featured: bool = False
    language: str = "ja"
    status_message: str = ""


class People:
    """Everybody the stand-in knows, in the order of their appearance."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._people: dict[str, Person] = {}

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept."""
        for user_id, document in documents.get(KIND, {}).items():
            self._people[user_id] = Person(**document)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._people

    def has_all(self, user_ids: Iterable[str]) -> bool:
        """Whether all of them exist."""
        return self._people.keys() >= set(user_ids)

    def get(self, user_id: str) -> Person | None:
        """The person, or None."""
        return self._people.get(user_id)

    def all(self) -> Iterable[Person]:
        """Everybody."""
        return self._people.values()

    def add(self, person: Person) -> Person:
        """Add a person; one with the same id is replaced."""
        self._people[person.user_id] = person
        self._store.put(KIND, person.user_id, person)
        return person

    def invite(self, name: str, about: str = "") -> Person:
        """A fresh person with a new user id."""
        return self.add(Person(ids.new_user_id(), name, about))

    def clear(self) -> None:
        """Nobody is left."""
        self._people.clear()
