import asyncio, random
from pathlib import Path
from collections import Counter
from tests.kill import books
from tests.kill.conftest import staged
from tests.kill.processes import kill_in_turn
async def test_dev(folder: Path, chance: random.Random) -> None:
    async with staged(folder, f"sqlite+aiosqlite:///{folder}/okaeri.db") as stage:
        town = stage.town
        await town.line("PUT", "/simulator/faults", {"rules": [{"kind": "slow", "endpoint": e, "probability": 0.05, "delay_seconds": 0.5} for e in ("push","reply")]})
        server = stage.serve(); await server.is_up()
        await asyncio.gather(kill_in_turn([server], chance, town.calls, each=8), town.come_and_ask(200, chance, seconds=30),
            town.write_to(stage.friend_ids, ["a","b","c","d"], pause=0.05))
        await server.is_up(); await books.come_to_rest(town, stage.db)
        end = await books.read(town, stage.db)
        print("HELD deliveries", len(end.held), "replies accepted", sum(c["endpoint"]=="reply" for c in end.accepted), Counter(h.attempts for h in end.held))
        end.every_message_arrived_once()
