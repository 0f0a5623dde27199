# What people type. Each target installs what it misses (Debian, apt) and says so.
#
#   make run           builds, and serves a demo city at http://localhost:8080   (PORT=…, STOA_DATA=…)
#   make test          builds, and runs every Swift test against a private PostgreSQL
#   make conformance   drives a server with independent clients and with Chromium
#   make bench         prints how fast it is, beside PostgreSQL's own pgbench
#   make bench-scale   the same of a log of ten million entries (some 20 minutes, 8 GB)
#   make schema        writes migrations/schema.sql from the migrations

.PHONY: run test conformance bench bench-scale schema dependencies

run: dependencies .build/release/stoa
	@.build/release/stoa demo

# Built again only when something that it is made from is newer: SwiftPM takes most of a minute to find that out.
.build/release/stoa: Package.swift $(shell find Sources -type f)
	swift build -c release --product stoa
	@touch $@

# The executable too: `make conformance` uses the one that is built here.
test: dependencies
	swift build --build-tests
	swift build --product stoa
	swift test --skip-build --experimental-maximum-parallelization-width 8

conformance: dependencies
	@test -x .build/debug/stoa || swift build --product stoa
	STOA_BINARY="$${STOA_BINARY:-.build/debug/stoa}" Tests/Conformance/run

bench: dependencies
	swift build -c release --product stoa
	swift build -c release --product PointReads
	Benchmarks/run

bench-scale: dependencies
	swift build -c release --product stoa
	Benchmarks/run scale

schema: dependencies
	swift build --build-tests
	STOA_WRITE_SCHEMA=1 swift test --skip-build --filter SchemaTests

dependencies:
	@scripts/install-dependencies
