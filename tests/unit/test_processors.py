from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import storage.processors
from storage.processors import MOST_THREADS, decoding_threads


def threads_alone():
    with decoding_threads() as threads:
        return threads


def test_clips_share_the_processors_and_one_alone_has_them_all(monkeypatch):
    monkeypatch.setattr(storage.processors, "_processors", lambda: 4)
    with decoding_threads() as first, decoding_threads() as second, decoding_threads() as third:
        assert (first, second, third) == (4, 2, 1)
    assert threads_alone() == 4
    monkeypatch.setattr(storage.processors, "_processors", lambda: 64)
    assert threads_alone() == MOST_THREADS


def test_a_process_of_a_pool_decodes_in_one_thread():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(threads_alone).result() == 1
