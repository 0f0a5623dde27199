// Every setting of Stoa with its default. config/stoa.yaml explains them to whoever operates a city; a test compares the two.
import Foundation
import Identity
import Logging
import Primitives
import Web

/// What an installation decides about itself.
struct StoaConfiguration: Sendable {
    var baseURL: BaseURL
    var host: String
    var port: Int
    /// The proxies in front that are believed about who asks.
    var trustedProxies: TrustedProxies
    var metricsAddress: WebConfiguration.MetricsAddress?
    var dataDirectory: String
    var rootDirectory: String
    var city: City
    var database: DatabaseSettings
    var keys: KeySettings
    /// The name of the transparency log, fixed when its key is made; nil: from the host of `baseURL`.
    var logOrigin: String?
    var passwords: PasswordCost
    var passwordThreads: Int
    var logLevel: Logger.Level
    /// How long requests in flight may take once Stoa was told to stop.
    var stopSecondsMax: Int
    /// Whether notices are posted to receivers on this machine. No setting: what only this machine reaches is nobody's webhook in a city.
    var permitsLoopbackWebhooks = false

    struct City: Sendable {
        var name: String
        var timeZone: TimeZone
        var language: Language
        /// The towns whose residents live in the city, as the register writes them; empty: nobody can tell.
        var localities: [String]
    }

    struct DatabaseSettings: Sendable {
        /// Nil: the embedded cluster.
        var url: String?
        var migrationURL: String?
        var auditorURL: String?
        var sharedConnections: Int
        var exclusiveConnections: Int
    }

    /// A key is in a file of mode 0600, or in the environment as base64; nil: the file of that name in the data directory.
    struct KeySettings: Sendable {
        var encryptionFile: String?
        var encryption: Redacted<String>?
        var lookupFile: String?
        var lookup: Redacted<String>?
        var logSigningFile: String?
        var logSigning: Redacted<String>?
    }

    /// Every key there is, in the order of config/stoa.yaml.
    enum Key {
        static let baseURL = Setting("base_url")
        static let address = Setting("http.address")
        static let port = Setting("http.port", shortVariable: "PORT")
        static let trustedProxies = Setting("http.trusted_proxies")
        static let stopSeconds = Setting("http.stop_seconds")
        static let metricsAddress = Setting("metrics.address")
        static let metricsPort = Setting("metrics.port")
        static let dataDirectory = Setting("data_directory", shortVariable: "STOA_DATA")
        static let cityName = Setting("city.name")
        static let timeZone = Setting("city.time_zone")
        static let language = Setting("city.language")
        static let localities = Setting("city.localities")
        static let url = Setting("database.url")
        static let migrationURL = Setting("database.migration_url")
        static let auditorURL = Setting("database.auditor_url")
        static let sharedConnections = Setting("database.shared_connections")
        static let exclusiveConnections = Setting("database.exclusive_connections")
        static let encryptionFile = Setting("keys.encryption_key_file")
        static let lookupFile = Setting("keys.lookup_key_file")
        static let logSigningFile = Setting("keys.log_signing_key_file")
        static let encryption = Setting("keys.encryption_key", isSecret: true)
        static let lookup = Setting("keys.lookup_key", isSecret: true)
        static let logSigning = Setting("keys.log_signing_key", isSecret: true)
        static let logOrigin = Setting("log.origin")
        static let passwordMemory = Setting("passwords.memory_kibibytes")
        static let passwordPasses = Setting("passwords.passes")
        static let passwordThreads = Setting("passwords.threads")
        static let logLevel = Setting("logging.level")

        static let all = [
            baseURL, address, port, trustedProxies, stopSeconds, metricsAddress, metricsPort, dataDirectory, cityName, timeZone, language, localities, url,
            migrationURL, auditorURL, sharedConnections, exclusiveConnections, encryptionFile, lookupFile, logSigningFile, encryption, lookup, logSigning,
            logOrigin, passwordMemory, passwordPasses, passwordThreads, logLevel,
        ]
    }

    /// Gathers the settings from file, environment and command line.
    /// - Throws: `SetupError`, or `BaseURL.Refusal`: both say what to write instead.
    static func load(
        file: String?, environment: [String: String] = ProcessInfo.processInfo.environment, overrides: [String: String] = [:]
    ) async throws -> StoaConfiguration {
        let settings = try await SettingsReader(
            file: file ?? "config/stoa.yaml", fileIsRequired: file != nil, environment: environment, overrides: overrides, known: Key.all)
        return try StoaConfiguration(settings)
    }

    private init(_ settings: SettingsReader) throws {
        // 0 lets the system choose; then base_url must be set, because nobody could know it.
        port = try settings.integer(Key.port, in: 0...65535) ?? 8080
        host = settings.text(Key.address) ?? "127.0.0.1"
        baseURL = try BaseURL(settings.text(Key.baseURL) ?? "http://localhost:\(port)")
        trustedProxies =
            try settings.value(Key.trustedProxies, "addresses or networks with commas between, like 127.0.0.1, 10.1.0.0/16") { TrustedProxies($0) }
            ?? .none
        stopSecondsMax = try settings.integer(Key.stopSeconds, in: 1...3600) ?? 30
        let metricsHost = settings.text(Key.metricsAddress) ?? "127.0.0.1"
        metricsAddress = try settings.integer(Key.metricsPort, in: 1...65535).map { .init(host: metricsHost, port: $0) }
        dataDirectory = settings.text(Key.dataDirectory) ?? ".stoa"
        rootDirectory = "."
        city = City(
            name: settings.text(Key.cityName) ?? "Stoa",
            timeZone: try settings.value(Key.timeZone, "a name of the tz database such as Europe/Paris") { TimeZone(identifier: $0) } ?? TimeZone(identifier: "UTC") ?? .gmt,
            language: try settings.value(Key.language, "en, fr or ar") { Language(rawValue: $0) } ?? .english,
            localities: (settings.text(Key.localities) ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
        database = DatabaseSettings(
            url: settings.text(Key.url), migrationURL: settings.text(Key.migrationURL), auditorURL: settings.text(Key.auditorURL),
            // Four pipelined connections saturate two cores; transactions are few and short.
            sharedConnections: try settings.integer(Key.sharedConnections, in: 1...64) ?? 4,
            exclusiveConnections: try settings.integer(Key.exclusiveConnections, in: 2...256) ?? 8)
        keys = KeySettings(
            encryptionFile: settings.text(Key.encryptionFile), encryption: settings.text(Key.encryption).map(Redacted.init),
            lookupFile: settings.text(Key.lookupFile), lookup: settings.text(Key.lookup).map(Redacted.init),
            logSigningFile: settings.text(Key.logSigningFile), logSigning: settings.text(Key.logSigning).map(Redacted.init))
        logOrigin = settings.text(Key.logOrigin)
        let standard = PasswordCost.standard
        // Floors of OWASP's table for argon2id: less would be no protection, and a typing error should not weaken every password.
        passwords = PasswordCost(
            memoryKibibytes: UInt32(try settings.integer(Key.passwordMemory, in: 7_168...4_194_304) ?? Int(standard.memoryKibibytes)),
            passes: UInt32(try settings.integer(Key.passwordPasses, in: 1...64) ?? Int(standard.passes)), lanes: standard.lanes)
        passwordThreads = try settings.integer(Key.passwordThreads, in: 1...256) ?? ProcessInfo.processInfo.activeProcessorCount
        logLevel = try settings.value(Key.logLevel, "trace, debug, info, notice, warning, error or critical") { Logger.Level(rawValue: $0) } ?? .info
    }
}
