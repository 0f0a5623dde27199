// swift-tools-version: 6.2
// The house at a glance: one target a slice. An import that is not declared here does not compile, so the
// arrows below are the architecture (docs/ARCHITECTURE.md): Stoa → slices → Web, AccessLog → Postgres → Primitives.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTesting = Target.Dependency.product(name: "HummingbirdTesting", package: "hummingbird")
let mustache = Target.Dependency.product(name: "Mustache", package: "swift-mustache")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let jwtKit = Target.Dependency.product(name: "JWTKit", package: "jwt-kit")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsCore = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let atomics = Target.Dependency.product(name: "Atomics", package: "swift-atomics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let structuredFields = Target.Dependency.product(name: "RawStructuredFieldValues", package: "swift-http-structured-headers")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")

/// A slice: what every one may use, and what it adds.
func slice(_ name: String, _ extra: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: ["Primitives", "Postgres", "Web", hummingbird, mustache, logging, httpTypes, nio, crypto] + extra,
        swiftSettings: strict)
}

func tests(_ name: String, _ extra: [Target.Dependency] = []) -> Target {
    .testTarget(name: name + "Tests", dependencies: [.byName(name: name)] + extra, swiftSettings: strict)
}

let package = Package(
    name: "stoa",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "stoa", targets: ["Stoa"])],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        // The way to witnesses, organisations' webhooks and the gateway for short messages; with the mail relay (TLS from the next line), the only ones to whom Stoa itself
        // goes over the network.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-http-structured-headers", from: "1.2.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-atomics", from: "1.3.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML", "CommandLineArguments"]),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // System libraries: module maps only. `make` installs what is missing.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .systemLibrary(name: "CQrencode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // Foundations, lowest first.
        .target(name: "Primitives", dependencies: [deque], swiftSettings: strict),
        .target(name: "Postgres", dependencies: ["CLibpq", "Primitives", logging, metrics, deque, atomics], swiftSettings: strict),
        .target(name: "Outgoing", dependencies: [httpClient, httpTypes, logging, nio, nioPosix, nioHTTP1], swiftSettings: strict),
        // What banks send: account reports of ISO 20022, read strictly. No I/O.
        .target(name: "ISO20022", dependencies: ["Primitives"], swiftSettings: strict),
        .target(name: "TransparencyLog", dependencies: [crypto], swiftSettings: strict),
        .target(name: "WebAuthn", dependencies: ["Primitives", crypto, cryptoExtras], swiftSettings: strict),
        .target(
            name: "Web",
            dependencies: [
                "CQrencode", "CZlib", "Primitives", "Postgres", hummingbird, hummingbirdCore, mustache, crypto, logging, metrics, metricsCore, yams, atomics, httpTypes,
                nio, nioPosix, nioHTTP1,
            ], swiftSettings: strict),

        // The slices of the city.
        slice("AccessLog", ["TransparencyLog", metrics]),
        slice("Messages"),
        slice("Witness", ["TransparencyLog"]),
        slice("Register", ["AccessLog", "Messages"]),
        slice("Mandates", ["AccessLog", "Register"]),
        slice("Delivery", ["AccessLog", "Register", httpClient, nioPosix, nioSSL, nioHTTP1]),
        slice("Identity", ["CArgon2", "WebAuthn", "AccessLog", "Register", "Messages", "Delivery"]),
        slice("OpenID", ["AccessLog", "Register", "Identity", "Outgoing", jwtKit, cryptoExtras]),
        slice("Consent", ["AccessLog", "Register", "TransparencyLog"]),
        slice("Exchange", ["AccessLog", "Register", "OpenID", "Outgoing", "TransparencyLog", structuredFields]),
        slice("Catalogue"),
        slice("Ledger", ["TransparencyLog"]),
        slice("Payments", ["Ledger", "Messages", "Benefits", "ISO20022"]),
        slice("Payouts", ["AccessLog", "Register", "Ledger", "Messages", "ISO20022"]),
        slice("DataExport", ["AccessLog", "TransparencyLog"]),
        slice("DataTracker", ["AccessLog", "Register"]),
        slice("Questions", ["AccessLog", "Register", "Messages"]),
        slice("Disputes", ["AccessLog", "Register", "Ledger", "Messages"]),
        slice("Benefits", ["AccessLog", "Ledger", "Messages"]),
        slice("Casework", ["AccessLog", "Register", "Identity", "Consent", "Messages"]),

        // The executable: configuration, composition, embedded PostgreSQL, CLI.
        .executableTarget(
            name: "Stoa",
            dependencies: [
                "Primitives", "Postgres", "TransparencyLog", "Web", "AccessLog", "Register", "Messages", "Delivery", "Mandates", "Identity", "OpenID", "Consent", "Exchange", "Catalogue",
                "Ledger", "Payments", "Payouts", "Disputes", "ISO20022", "Benefits", "Casework", "Questions", "DataTracker", "DataExport", "Witness", hummingbird, httpClient, logging, metrics, lifecycle, unixSignals, configuration, arguments,
                jwtKit, crypto, yams, nio, nioPosix, nioHTTP1,
            ], swiftSettings: strict),

        // What `Benchmarks/run` compares with pgbench.
        .executableTarget(
            name: "PointReads", dependencies: ["Postgres", logging, arguments], path: "Benchmarks/PointReads", swiftSettings: strict),

        // Tests mirror Sources.
        .target(name: "TestSupport", dependencies: ["Postgres"], path: "Tests/Support", swiftSettings: strict),
        tests("Postgres", ["TestSupport", "Primitives", logging]),
        tests("Web", ["TestSupport", "Primitives", "Postgres", hummingbird, hummingbirdTesting, mustache, logging, metricsCore, lifecycle, httpTypes, nio]),
        tests("Primitives"),
        .testTarget(
            name: "ISO20022Tests", dependencies: ["ISO20022", "Primitives"], exclude: ["Samples"], swiftSettings: strict),
        // A small city in a migrated database, for the tests of slices.
        .target(
            name: "City",
            dependencies: ["TestSupport", "Postgres", "Primitives", "Register", "Web", hummingbird, hummingbirdTesting, httpTypes, nio, logging],
            path: "Tests/City", swiftSettings: strict),
        tests("Consent", ["City", "TestSupport", "AccessLog", "Register", "TransparencyLog", "Postgres", "Primitives", "Web", hummingbird, hummingbirdTesting, crypto, logging, httpTypes]),
        tests("Exchange", ["City", "Outgoing", "TestSupport", "Postgres", "Primitives", "Register", "AccessLog", "TransparencyLog", "Web", "Consent", hummingbird, hummingbirdTesting, crypto, httpTypes, nio, logging]),
        tests("Outgoing", [hummingbird, hummingbirdTesting, httpTypes, logging, nio]),
        tests("Catalogue", ["City", "TestSupport", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes]),
        tests("AccessLog", ["City", "TestSupport", "Postgres", "Primitives", "Register", "TransparencyLog", "Web", "Witness", hummingbirdTesting, crypto, httpTypes, nio, logging]),
        tests("Identity", ["Authenticator", "AccessLog", "City", "Delivery", "TestSupport", "Messages", "Postgres", "Primitives", "Register", "Web", "WebAuthn", crypto, hummingbirdTesting, logging, httpTypes, nio]),
        tests("Delivery", ["City", "AccessLog", "Postgres", "Primitives", "Register", "TestSupport", "Web", hummingbird, hummingbirdTesting, httpTypes, nio, nioPosix, logging]),
        tests("Mandates", ["City", "TestSupport", "TransparencyLog", "AccessLog", "Identity", "Ledger", "Messages", "Payments", "Register", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes]),
        tests("Messages", ["City", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes]),
        tests("DataExport", ["City", "AccessLog", "Consent", "Ledger", "Messages", "Payments", "Questions", "Register", "TransparencyLog", "Postgres", "Primitives", "Web", hummingbirdTesting, crypto, httpTypes]),
        tests("DataTracker", ["City", "AccessLog", "Register", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes, nio]),
        tests("Questions", ["City", "AccessLog", "Messages", "Register", "Postgres", "Primitives", "Web", hummingbirdTesting]),
        tests("Casework", ["City", "AccessLog", "Consent", "Messages", "Register", "Postgres", "Primitives", "Web", hummingbirdTesting]),
        tests("Ledger", ["City", "TestSupport", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes, logging]),
        tests("Payments", ["City", "ISO20022", "Postgres", "Primitives", "Web", "Ledger", "Benefits", crypto, hummingbird, hummingbirdTesting, httpTypes, nio, logging]),
        tests("Payouts", ["City", "TestSupport", "Postgres", "Primitives", "Web", "AccessLog", "Ledger", "Messages", "Register", "ISO20022", "Payments", hummingbirdTesting, crypto, httpTypes, logging]),
        tests("Disputes", ["City", "AccessLog", "Benefits", "Ledger", "Messages", "Payments", "Register", "Postgres", "Primitives", "Web", hummingbirdTesting, httpTypes]),
        tests("Benefits", ["City", "Postgres", "Primitives", "Web", "AccessLog", "Ledger", "Payments", hummingbird, hummingbirdTesting, httpTypes, logging]),
        tests("OpenID", ["City", "TestSupport", "Postgres", "Primitives", "AccessLog", "Register", "Web", hummingbird, hummingbirdTesting, jwtKit, crypto, yams, logging, httpTypes, nio]),
        tests("TransparencyLog", [crypto]),
        // An authenticator in software, for the tests of passkeys.
        .target(name: "Authenticator", dependencies: [crypto, cryptoExtras], path: "Tests/Authenticator", swiftSettings: strict),
        tests("WebAuthn", ["Authenticator", crypto, cryptoExtras]),
        tests("Witness", ["City", "Postgres", "TransparencyLog", "Web", crypto, hummingbirdTesting, httpTypes, nio]),
        tests("Register", ["TestSupport", "Postgres", "Primitives", "Web", logging]),
        tests("Stoa", ["City", "AccessLog", "Delivery", "TestSupport", "Postgres", "Primitives", "Register", "Identity", "TransparencyLog", "Web", logging, configuration, arguments, httpTypes, yams]),
    ]
)
