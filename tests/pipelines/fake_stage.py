"""A stage whose actors only record what they are asked: in which order a run creates and starts what it needs."""

from types import SimpleNamespace

from toolrl.actors.reward_worker import RewardHandle


class Actor:
    """Answers every remote call, and records it; rank k has GPU 7 - k."""

    def __init__(self, name, events, answers):
        self._name, self._events, self._answers = name, events, answers

    def __getattr__(self, method):
        async def answer(*arguments):
            what = arguments[0] if method == "call" else method
            self._events.append(f"{self._name}: {what}")
            return self._answers.get(what)

        return SimpleNamespace(remote=answer)


class Stage:
    def __init__(self, *, gpus_each=1):
        self.events, self.shared = [], None
        self._gpus_each = gpus_each

    def learners(self, config, arguments, sender):
        self.events.append(f"create {config.num_ranks} ranks sending by {sender.backend if sender else 'nothing'}")
        answers = [{"gpus": [str(7 - rank)] * self._gpus_each, "address": ("host", 1)} for rank in range(config.num_ranks)]
        return [Actor(f"learner-{rank}", self.events, answers[rank]) for rank in range(config.num_ranks)]

    def engines(self, settings, config, *, timeout_s, shared=None):
        self.events.append(f"create {len(settings)} engines")
        self.shared = shared
        handles = []
        for each in settings:
            actor = Actor(each.name, self.events, {})
            sleep = lambda level, call=actor.call: call.remote("sleep")  # noqa: E731
            start = lambda timeout_s, call=actor.call: call.remote("start")  # noqa: E731
            kill = lambda name=each.name: self.events.append(f"{name}: kill")  # noqa: E731
            handles.append(SimpleNamespace(name=each.name, actor=actor, sleep=sleep, start=start, kill=kill, started=False))
        return handles

    def reward_worker(self, index, verifier, config):
        return RewardHandle(f"reward-{index}", lambda: Actor(f"reward-{index}", self.events, {}), config)
