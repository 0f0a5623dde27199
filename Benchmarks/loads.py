"""The loads that measurements are made of (wrk on the server, pgbench on its database) and the lines of the tables."""
import glob
import json
import os
import re
import statistics
import subprocess
import sys

SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CONNECTIONS, WRK_THREADS = 32, 2
WRK_SECONDS_OVER_MAX = 30


def pgbench(url, *arguments):
    program = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))[-1]
    # Its tables lie in a schema of their own beside the city's.
    environment = {**os.environ, "PGOPTIONS": "-c search_path=pgbench"}
    done = subprocess.run([program, *arguments, url], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def pgbench_result(said):
    failed = int(re.search(r"number of failed transactions: (\d+)", said).group(1))
    latency = float(re.search(r"latency average = ([\d.]+) ms", said).group(1))
    return Result(float(re.search(r"tps = ([\d.]+)", said).group(1)), latency, None, failed)


class Result:
    def __init__(self, rate, p50, p99, errors, first_error=""):
        self.rate, self.p50, self.p99, self.errors, self.first_error = rate, p50, p99, errors, first_error


def wrk_environment(path, **settings):
    return {**os.environ, "BENCH_PATH": path, **{f"BENCH_{k.upper()}": str(v) for k, v in settings.items()}}


def wrk_command(base_url, seconds, connections=CONNECTIONS, threads=WRK_THREADS):
    return ["wrk", "--latency", "-t", str(threads), "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "-s",
            "Benchmarks/load.lua", base_url]


def http(base_url, environment, seconds=SECONDS, **options):
    # wrk does not end when the server goes away.
    done = subprocess.run(wrk_command(base_url, seconds, **options), capture_output=True, text=True, env=environment,
                          timeout=seconds + WRK_SECONDS_OVER_MAX)
    return http_result(done.stdout, done.returncode, done.stderr)


def http_result(stdout, status, stderr):
    assert status == 0, stderr
    said = json.loads(stdout.strip().splitlines()[-1])
    errors = said["wrong_status"] + said["wrong_body"] + said["socket_errors"]
    return Result(said["requests"] / said["seconds"], said["p50_ms"], said["p99_ms"], errors, said["first_wrong"])


def latency_row(name, p50, p99, most):
    """One line of the second table (milliseconds), and whether it holds."""
    good = p99 < most
    print(f"| {name} | {p50:.2f} | {p99:.2f} | {most:g} | {'ok' if good else 'FAILED'} |")
    return good


def table_head():
    print("| what | a second | p50 ms | p99 ms | errors | reference a second | ratio | at least | |\n|---|--:|--:|--:|--:|--:|--:|--:|---|")


def row(name, ours, against, bound):
    """One line of the table, and what is wrong with it."""
    rate, reference_rate = (statistics.median(r.rate for r in results) for results in (ours, against))
    ratio = rate / reference_rate
    errors = sum(r.errors for r in [*ours, *against])
    p50, p99 = statistics.median(r.p50 for r in ours), statistics.median(r.p99 for r in ours)
    verdict = "ok" if ratio >= bound and errors == 0 else "FAILED"
    print(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {errors} | {reference_rate:,.0f} | {ratio:.2f} × | {bound:.2f} × | {verdict} |")
    for result in ours:
        if result.errors:
            print(f"bench: {name}: {result.errors} errors, the first: {result.first_error}", file=sys.stderr)
            break
    return verdict == "ok"


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)
