"""Resources of a job: memory in MB and time in minutes, computed from the configuration.

The values are several times those measured on one laptop core: a job that exceeds its limits is killed, a job with
generous limits only queues longer. They are multiplied by the number of the attempt. A training that reaches its time
limit resumes from its saved state at the next attempt, a chunk of answers after its last complete batch. A profile
can override each of them (`set-resources`).
"""

# Lower bound of the images per second that a network trains on, on one core or on a GPU.
TRAINED = 1000 if GPU else 100
# Upper bounds of the seconds per question, of explainers and of all other methods.
EXPLAINED = 5 if GPU else 20
ANSWERED = 0.1


def growing(amount):
    """Returns a resource that is multiplied by the number of the attempt; `amount` is a number or a function of wildcards."""
    return lambda wildcards, attempt: attempt * int(amount(wildcards) if callable(amount) else amount)


def images_mb(*splits):
    """Returns the memory in MB of the images of some splits, including copies."""
    count = sum(getattr(SETTINGS.data, split, 0) for split in splits)
    return 4 * count * SETTINGS.data.image_size**2 / 2**20


def network_mb(*splits):
    """Returns the memory in MB of a job that loads PyTorch (and CUDA if there is a GPU) and some splits."""
    return (6000 if GPU else 2000) + images_mb(*splits)


def with_network(*splits):
    """Returns `network_mb` as a resource that grows with the attempts."""
    return growing(network_mb(*splits))


def training_minutes(training):
    """Returns the time limit in minutes of a training, from its number of steps and its batch size."""
    return 30 + training.steps * training.batch_size / TRAINED / 60


def answering_mb(wildcards):
    """Returns the memory in MB of a chunk of answers: the program, and the images with their copies."""
    start, stop = map(int, wildcards.chunk.split("-"))
    images = 12 * (stop - start) * SETTINGS.data.image_size**2 / 2**20
    return images + (6000 if GPU and METHODS[wildcards.method].models else 3000)


def answering_minutes(wildcards):
    """Returns the time limit in minutes of a chunk of answers."""
    start, stop = map(int, wildcards.chunk.split("-"))
    return 15 + (stop - start) * (EXPLAINED if wildcards.method in EXPLAINERS else ANSWERED) / 60


def scoring_minutes(wildcards):
    """Returns the time limit in minutes of scoring the answers of all methods with one metric."""
    count = sum(SETTINGS.questions.count(suite, DATASET) for suite in scored_suites(wildcards.metric))
    return 30 + len(methods_scored(wildcards)) * count / 1000
