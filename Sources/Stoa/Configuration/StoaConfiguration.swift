// Every setting of Stoa with its default. config/stoa.yaml explains them to whoever operates a city; a test compares the two.
import AccessLog
import Delivery
import Foundation
import Identity
import Logging
import Primitives
import Register
import TransparencyLog
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
    /// What stands out in the access log.
    var anomalies: AnomalyRules
    /// Who signs the heads of the log elsewhere.
    var logWitnesses: [LogWitness]
    /// The name of this city as a witness, fixed when that key is made; nil: from the host of `baseURL`.
    var witnessName: String?
    /// The keys of the logs whose heads this city signs; none: it is no witness.
    var witnessedLogs: [Ed25519NoteVerifier]
    /// Whether staff without a second factor must make one before they come in.
    var staffSecondFactor: StaffSecondFactor
    /// Between the papers shown at a counter and the new way into an account.
    var recoveryWaitHours: Int
    /// Where the browser goes of somebody who must not be seen here.
    var neutralSite: WebConfiguration.WebOrigin
    /// How messages leave the city.
    var delivery: DeliverySettings
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
        /// From which ages on children are asked, decide alone and are of age.
        var ages: AgesOfConsent
    }

    struct DatabaseSettings: Sendable {
        /// Nil: the embedded cluster.
        var url: String?
        var migrationURL: String?
        var auditorURL: String?
        var sharedConnections: Int
        var exclusiveConnections: Int
    }

    /// What is not set leaves as files.
    struct DeliverySettings: Sendable {
        /// Where messages without another way out are written.
        var folder: String
        /// Whom e-mails come from.
        var sender: EmailAddress
        /// The relay for e-mails.
        var smtp: SMTPSettings?
        /// The gateway for short messages.
        var shortMessages: ShortMessageWebhook?
    }

    /// A key is in a file of mode 0600, or in the environment as base64; nil: the file of that name in the data directory.
    struct KeySettings: Sendable {
        var encryptionFile: String?
        var encryption: Redacted<String>?
        var lookupFile: String?
        var lookup: Redacted<String>?
        var logSigningFile: String?
        var logSigning: Redacted<String>?
        var witnessFile: String?
        var witness: Redacted<String>?
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
        static let askedFrom = Setting("minors.asked_from_age")
        static let aloneFrom = Setting("minors.alone_from_age")
        static let ofAgeFrom = Setting("minors.of_age_from_age")
        static let url = Setting("database.url")
        static let migrationURL = Setting("database.migration_url")
        static let auditorURL = Setting("database.auditor_url")
        static let sharedConnections = Setting("database.shared_connections")
        static let exclusiveConnections = Setting("database.exclusive_connections")
        static let encryptionFile = Setting("keys.encryption_key_file")
        static let lookupFile = Setting("keys.lookup_key_file")
        static let logSigningFile = Setting("keys.log_signing_key_file")
        static let witnessFile = Setting("keys.witness_key_file")
        static let encryption = Setting("keys.encryption_key", isSecret: true)
        static let lookup = Setting("keys.lookup_key", isSecret: true)
        static let logSigning = Setting("keys.log_signing_key", isSecret: true)
        static let witness = Setting("keys.witness_key", isSecret: true)
        static let logOrigin = Setting("log.origin")
        static let officeHours = Setting("anomalies.office_hours")
        static let peoplePerHour = Setting("anomalies.people_per_hour")
        static let logWitnesses = Setting("log.witnesses")
        static let witnessName = Setting("witness.name")
        static let witnessedLogs = Setting("witness.logs")
        static let staffSecondFactor = Setting("identity.staff_second_factor")
        static let recoveryWait = Setting("identity.recovery_wait_hours")
        static let leaveTo = Setting("identity.leave_to")
        static let deliveryFolder = Setting("delivery.folder")
        static let deliverySender = Setting("delivery.email_from")
        static let smtpHost = Setting("delivery.smtp_host")
        static let smtpPort = Setting("delivery.smtp_port")
        static let smtpSecurity = Setting("delivery.smtp_security")
        static let smtpUser = Setting("delivery.smtp_user")
        static let smtpPassword = Setting("delivery.smtp_password", isSecret: true)
        static let smtpAuthorityFile = Setting("delivery.smtp_authority_file")
        static let smsWebhook = Setting("delivery.sms_webhook")
        static let smsToken = Setting("delivery.sms_token", isSecret: true)
        static let passwordMemory = Setting("passwords.memory_kibibytes")
        static let passwordPasses = Setting("passwords.passes")
        static let passwordThreads = Setting("passwords.threads")
        static let logLevel = Setting("logging.level")

        static let all = [
            baseURL, address, port, trustedProxies, stopSeconds, metricsAddress, metricsPort, dataDirectory, cityName, timeZone, language, localities, askedFrom, aloneFrom,
            ofAgeFrom, url, migrationURL, auditorURL, sharedConnections, exclusiveConnections, encryptionFile, lookupFile, logSigningFile, witnessFile, encryption, lookup,
            logSigning, witness, logOrigin, logWitnesses, witnessName, witnessedLogs, officeHours, peoplePerHour, staffSecondFactor, recoveryWait, leaveTo, deliveryFolder,
            deliverySender, smtpHost, smtpPort,
            smtpSecurity, smtpUser, smtpPassword, smtpAuthorityFile, smsWebhook, smsToken, passwordMemory, passwordPasses,
            passwordThreads, logLevel,
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
            localities: (settings.text(Key.localities) ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) },
            ages: try Self.ages(settings))
        database = DatabaseSettings(
            url: settings.text(Key.url), migrationURL: settings.text(Key.migrationURL), auditorURL: settings.text(Key.auditorURL),
            // Four pipelined connections saturate two cores; transactions are few and short.
            sharedConnections: try settings.integer(Key.sharedConnections, in: 1...64) ?? 4,
            exclusiveConnections: try settings.integer(Key.exclusiveConnections, in: 2...256) ?? 8)
        keys = KeySettings(
            encryptionFile: settings.text(Key.encryptionFile), encryption: settings.text(Key.encryption).map(Redacted.init),
            lookupFile: settings.text(Key.lookupFile), lookup: settings.text(Key.lookup).map(Redacted.init),
            logSigningFile: settings.text(Key.logSigningFile), logSigning: settings.text(Key.logSigning).map(Redacted.init),
            witnessFile: settings.text(Key.witnessFile), witness: settings.text(Key.witness).map(Redacted.init))
        logOrigin = settings.text(Key.logOrigin)
        anomalies = AnomalyRules(
            timeZone: city.timeZone,
            officeHours: try settings.value(Key.officeHours, "two hours of the day such as 7-19") { text in
                let hours = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0.trimmingCharacters(in: .whitespaces)) }
                guard hours.count == 2, let opens = hours[0], let closes = hours[1], (0...24).contains(opens), (0...24).contains(closes), opens < closes
                else { return nil }
                return opens..<closes
            } ?? AnomalyRules.usualOfficeHours,
            peoplePerHourMax: try settings.integer(Key.peoplePerHour, in: 1...10_000) ?? AnomalyRules.usualPeoplePerHourMax)
        logWitnesses =
            try settings.value(
                Key.logWitnesses, "an https address and a witness's verifier key with a space between, and a comma before the next: https://city.example/witness city.example/witness+…",
                { try list($0) { try LogWitness(setting: $0) } }) ?? []
        witnessName = settings.text(Key.witnessName)
        witnessedLogs =
            try settings.value(Key.witnessedLogs, "verifier keys of logs with commas between: city.example/log+…") { try list($0) { try Ed25519NoteVerifier(setting: $0) } } ?? []
        staffSecondFactor = try settings.value(Key.staffSecondFactor, "required or when_asked", StaffSecondFactor.init(rawValue:)) ?? .required
        // A fortnight at most: who has nothing left to sign in with needs the city meanwhile.
        recoveryWaitHours = try settings.integer(Key.recoveryWait, in: 1...336) ?? 24
        neutralSite =
            try settings.value(Key.leaveTo, "an https address without a path, like https://www.wikipedia.org") { WebConfiguration.WebOrigin($0) }
            ?? .usualNeutralSite
        delivery = try Self.delivery(settings, dataDirectory: dataDirectory, host: baseURL.host)
        let standard = PasswordCost.standard
        // Floors of OWASP's table for argon2id: less would be no protection, and a typing error should not weaken every password.
        passwords = PasswordCost(
            memoryKibibytes: UInt32(try settings.integer(Key.passwordMemory, in: 7_168...4_194_304) ?? Int(standard.memoryKibibytes)),
            passes: UInt32(try settings.integer(Key.passwordPasses, in: 1...64) ?? Int(standard.passes)), lanes: standard.lanes)
        passwordThreads = try settings.integer(Key.passwordThreads, in: 1...256) ?? ProcessInfo.processInfo.activeProcessorCount
        logLevel = try settings.value(Key.logLevel, "trace, debug, info, notice, warning, error or critical") { Logger.Level(rawValue: $0) } ?? .info
    }

    private static func delivery(_ settings: SettingsReader, dataDirectory: String, host: String) throws -> DeliverySettings {
        // A host without a dot, as of the demo city, is no domain that mail could come from.
        let usual = EmailAddress("no-reply@\(host)") ?? EmailAddress("no-reply@stoa.invalid")
        let sender = try settings.value(Key.deliverySender, "an e-mail address such as no-reply@stoa.example") { EmailAddress($0) } ?? usual
        guard let sender else { throw SetupError("The setting delivery.email_from is missing.") }
        var smtp: SMTPSettings?
        if let host = settings.text(Key.smtpHost) {
            let security = try settings.value(Key.smtpSecurity, "starttls, tls or none") { SMTPSettings.Security(rawValue: $0) } ?? .startTLS
            // Ports of RFC 6409 and RFC 8314.
            let port = try settings.integer(Key.smtpPort, in: 1...65_535) ?? (security == .tls ? 465 : 587)
            smtp = SMTPSettings(
                host: host, port: port, security: security, userName: settings.text(Key.smtpUser), password: settings.text(Key.smtpPassword).map(Redacted.init),
                authorityFile: settings.text(Key.smtpAuthorityFile))
            guard (smtp?.userName == nil) == (smtp?.password == nil) else {
                throw SetupError("Of delivery.smtp_user and \(Key.smtpPassword.variable) one is set and the other is not.")
            }
        }
        let token = settings.text(Key.smsToken).map(Redacted.init)
        return DeliverySettings(
            folder: settings.text(Key.deliveryFolder) ?? dataDirectory + "/outgoing", sender: sender, smtp: smtp,
            shortMessages: try settings.value(Key.smsWebhook, "an https address; http only for a gateway on this machine") { ShortMessageWebhook(url: $0, token: token) })
    }

    /// The ages of minors, each at least the one before.
    private static func ages(_ settings: SettingsReader) throws -> AgesOfConsent {
        let asked = try settings.integer(Key.askedFrom, in: 0...25) ?? 13
        let alone = try settings.integer(Key.aloneFrom, in: 0...25) ?? 16
        let ofAge = try settings.integer(Key.ofAgeFrom, in: 0...25) ?? 18
        guard asked <= alone, alone <= ofAge else {
            throw SetupError("minors.asked_from_age, minors.alone_from_age and minors.of_age_from_age must not fall: a child is asked first, decides alone later, and is of age last.")
        }
        return AgesOfConsent(asked: asked, alone: alone, ofAge: ofAge)
    }
}

/// The parts between commas.
private func list<Element>(_ text: String, _ convert: (String) throws -> Element?) throws -> [Element]? {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
    var elements: [Element] = []
    for part in parts {
        guard let element = try convert(part) else { return nil }
        elements.append(element)
    }
    return elements
}

extension LogWitness {
    /// Reads `address key`; nil for another form. An address beyond this machine is https: what is sent is public, but who answers must be who is meant.
    /// - Throws: `SetupError` that says what is wrong with the key.
    fileprivate init?(setting: String) throws {
        let parts = setting.split(separator: " ")
        guard parts.count == 2, let address = URLComponents(string: String(parts[0])), let host = address.host, let scheme = address.scheme,
            address.query == nil, address.fragment == nil, address.user == nil, address.password == nil,
            scheme == "https" || (scheme == "http" && BaseURL.isLoopback(host))
        else { return nil }
        let prefix = parts[0].hasSuffix("/") ? parts[0].dropLast() : parts[0]
        do {
            self.init(prefix: String(prefix), verifier: try CosignatureVerifier(vkey: String(parts[1])))
        } catch {
            throw SetupError("In log.witnesses the verifier key of \(prefix) \(error).")
        }
    }
}

extension Ed25519NoteVerifier {
    /// - Throws: `SetupError` that says what is wrong with the key.
    fileprivate init(setting: String) throws {
        do {
            try self.init(vkey: setting)
        } catch {
            throw SetupError("In witness.logs the verifier key \"\(setting)\" \(error).")
        }
    }
}
