"""What a job needs: memory in MB and minutes, sized by the configuration and growing with each attempt.

The figures are several times what was measured on one core of a laptop's kind, because a job that asks too little is
killed, and one that asks too much only waits longer. A training that its limit ends goes on from its state at the next
attempt, a chunk behind its last whole batch. A profile overrides any of them (set-resources).
"""

# Images that a network sees in a second while it is trained, at least: on one core, or on a GPU.
TRAINED = 1000 if GPU else 100
# Seconds that one question takes, at most.
EXPLAINED = 5 if GPU else 20
ANSWERED = 0.1


def growing(amount):
    """Returns a resource of which each attempt asks as much more: `amount`, or what it says of the wildcards."""
    return lambda wildcards, attempt: attempt * int(amount(wildcards) if callable(amount) else amount)


def images_mb(*splits):
    """Returns what the images of some splits take in memory, in MB, with the copies that are made of them."""
    count = sum(getattr(SETTINGS.data, split, 0) for split in splits)
    return 4 * count * SETTINGS.data.image_size**2 / 2**20


def with_network(*splits):
    """Returns the memory of a job that loads PyTorch, CUDA's part where there is a GPU, and some splits."""
    return growing((6000 if GPU else 2000) + images_mb(*splits))


def training_minutes(training):
    """Returns the time of a training of so many steps of so many images."""
    return 30 + training.steps * training.batch_size / TRAINED / 60


def answering_mb(wildcards):
    """Returns the memory of a chunk of answers: the program's, and that of its images with the copies made of them."""
    start, stop = map(int, wildcards.chunk.split("-"))
    images = 12 * (stop - start) * SETTINGS.data.image_size**2 / 2**20
    return images + (6000 if GPU and METHODS[wildcards.method].models else 3000)


def answering_minutes(wildcards):
    """Returns the time of a chunk of answers."""
    start, stop = map(int, wildcards.chunk.split("-"))
    return 15 + (stop - start) * (EXPLAINED if wildcards.method in EXPLAINERS else ANSWERED) / 60


def scoring_minutes(wildcards):
    """Returns the time of one metric's scores of all methods' answers."""
    count = sum(
        SETTINGS.questions.count(suite, SETTINGS.dataset) for suite in scored_suites(wildcards.metric)
    )
    return 30 + len(methods_scored(wildcards)) * count / 1000
