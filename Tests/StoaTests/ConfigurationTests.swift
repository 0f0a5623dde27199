// Settings from file, environment and command line; and the file that explains them.
import AccessLog
import Configuration
import Delivery
import Foundation
import Identity
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import Stoa

@Suite("Configuration")
struct ConfigurationTests {
    private func load(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [String: String] = [:]
    ) async throws -> StoaConfiguration {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("stoa-\(UUID()).yaml")
        try Data(yaml.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await StoaConfiguration.load(file: file.path, environment: environment, overrides: overrides)
    }

    private func refusal(
        _ yaml: String = "", environment: [String: String] = [:], overrides: [String: String] = [:]
    ) async -> String {
        do {
            _ = try await load(yaml, environment: environment, overrides: overrides)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func hasDefaultsForEverything() async throws {
        let configuration = try await load()
        #expect(configuration.baseURL.origin == "http://localhost:8080")
        #expect((configuration.host, configuration.port) == ("127.0.0.1", 8080))
        #expect(configuration.dataDirectory == ".stoa")
        #expect(configuration.database.url == nil)
        #expect(configuration.metricsAddress == nil)
        #expect(configuration.trustedProxies == .none)
        #expect(configuration.passwords == .standard)
    }

    @Test func commandLineWinsOverEnvironmentAndEnvironmentOverFile() async throws {
        let yaml = "http: {port: 1001}\ncity: {name: From the file}\n"
        #expect(try await load(yaml).port == 1001)
        #expect(try await load(yaml, environment: ["PORT": "1002"]).port == 1002)
        #expect(try await load(yaml, environment: ["PORT": "1002", "STOA_HTTP_PORT": "1003"]).port == 1003)
        #expect(try await load(yaml, environment: ["PORT": "1002"], overrides: ["http.port": "1004"]).port == 1004)
        #expect(try await load(yaml, environment: ["PORT": "1002"]).city.name == "From the file")
        #expect(try await load(environment: ["PORT": "1002"]).baseURL.origin == "http://localhost:1002")
        #expect(try await load(environment: ["STOA_DATA": "/somewhere"]).dataDirectory == "/somewhere")
    }

    @Test func namesWitnessesAndTheLogsThatItSignsFor() async throws {
        let (near, far) = (try CosignatureSigner.generate(name: "near.example/w").verifier, try CosignatureSigner.generate(name: "far.example/w").verifier)
        let log = try Ed25519NoteSigner.generate(name: "near.example/log").verifier
        let configuration = try await load(
            "witness: {logs: \"\(log.vkey)\"}",
            environment: ["STOA_LOG_WITNESSES": "https://near.example/witness/ \(near.vkey), http://127.0.0.1:8081/w  \(far.vkey)"])
        #expect(configuration.logWitnesses == [
            LogWitness(prefix: "https://near.example/witness", verifier: near), LogWitness(prefix: "http://127.0.0.1:8081/w", verifier: far),
        ])
        #expect(configuration.witnessedLogs == [log])
        #expect(try await load().logWitnesses.isEmpty)
    }

    @Test func anEmptyVariableIsNoSetting() async throws {
        #expect(try await load(environment: ["PORT": "", "STOA_DATABASE_URL": ""]).port == 8080)
    }

    @Test(arguments: [
        ("htttp: {port: 1}", "\"htttp.port\""), ("city: {nmae: X}", "\"city.nmae\""), ("keys: {encryption_key: AAAA}", "\"keys.encryption_key\""),
        ("http: {port: eighty}", "http.port (STOA_HTTP_PORT) is \"eighty\""), ("http: {port: 70000}", "from 0 to 65535"),
        ("city: {time_zone: Mars/Olympus}", "a name of the tz database"), ("city: {language: de}", "en, fr or ar"),
        ("passwords: {memory_kibibytes: 8}", "from 7168"), ("http: {trusted_proxies: proxy.example}", "addresses or networks"),
        ("http: {trusted_proxies: [127.0.0.1]}", "one text"), ("logging: {level: loud}", "trace, debug"),
        ("anomalies: {office_hours: 19-7}", "two hours of the day"), ("anomalies: {people_per_hour: 0}", "from 1"),
        ("log: {witnesses: \"https://w.example\"}", "an https address and a witness's verifier key"),
        ("log: {witnesses: \"http://w.example/w remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\"}", "https"),
        ("log: {witnesses: \"https://w.example/w remora.n621.de+da77ade8+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\"}", "was mistyped"),
        ("witness: {logs: remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2}", "of another kind"),
        ("delivery: {email_from: \"no reply@stoa.example\"}", "an e-mail address"), ("delivery: {smtp_host: mail.example, smtp_security: maybe}", "starttls, tls or none"),
        ("delivery: {smtp_host: mail.example, smtp_user: stoa}", "STOA_DELIVERY_SMTP_PASSWORD"), ("delivery: {sms_webhook: \"http://gateway.example/\"}", "an https address"),
        ("delivery: {smtp_password: word}", "delivery.smtp_password"),
        ("base_url: http://city.example", "https"), ("base_url: city", "base_url"), ("- a\n- b", "not a list of settings"), ("a: [", "not YAML"),
    ])
    func refusesWhatMakesNoSense(yaml: String, words: String) async {
        #expect(await refusal(yaml).contains(words))
    }

    @Test(arguments: [
        ("STOA_HTTP_PORTT", "STOA_HTTP_PORT"), ("STOA_PORT", "PORT"), ("STOA_DATABASE", "STOA_DATA"), ("STOA_BASEURL", "STOA_BASE_URL"),
        ("STOA_KEYS_LOOKUP", "STOA_KEYS_LOOKUP_KEY"),
    ])
    func refusesAVariableThatItDoesNotKnow(variable: String, nearest: String) async {
        let refusal = await refusal(environment: [variable: "3"])
        #expect(refusal.contains("no setting \(variable)") && refusal.contains("Did you mean \(nearest)?"), "\(refusal)")
    }

    @Test func leavesTheVariablesOfScriptsAndOfOthersAlone() async throws {
        let environment = [
            "STOA_BINARY": "x", "STOA_SHOTS": "x", "STOA_WRITE_SCHEMA": "1", "STOA_MISSPELT": "", "STOAT": "x", "STOA_SERVICE_HOST": "10.0.0.1",
            "STOA_SERVICE_PORT_HTTP": "80", "STOA_PORT": "tcp://10.0.0.1:80", "STOA_PORT_80_TCP_ADDR": "10.0.0.1",
        ]
        #expect(try await load(environment: environment).port == 8080)
    }

    @Test func secretsComeFromTheEnvironmentAlone() async throws {
        let configuration = try await load(environment: ["STOA_KEYS_ENCRYPTION_KEY": "c2VjcmV0"])
        #expect(configuration.keys.encryption?.reveal() == "c2VjcmV0")
        #expect(!"\(configuration)".contains("c2VjcmV0"))
        #expect(await refusal(overrides: ["keys.encryption_key": "c2VjcmV0"]).contains("command line"))
    }

    @Test func theRelayIsReachedUnderTLSUnlessItIsSaidOtherwise() async throws {
        let relay = try #require(try await load("delivery: {smtp_host: mail.example}").delivery.smtp)
        #expect(relay.port == 587 && relay.security == .startTLS && relay.password == nil)
        #expect(try await load("delivery: {smtp_host: mail.example, smtp_security: tls}").delivery.smtp?.port == 465)
        let secret = try await load(
            "delivery: {smtp_host: mail.example, smtp_user: stoa}", environment: ["STOA_DELIVERY_SMTP_PASSWORD": "c2VjcmV0", "STOA_DELIVERY_SMS_TOKEN": "dG9rZW4"])
        #expect(secret.delivery.smtp?.password?.reveal() == "c2VjcmV0")
        #expect(!"\(secret)".contains("c2VjcmV0") && !"\(secret)".contains("dG9rZW4"))
    }

    @Test func aFileThatWasAskedForMustBeThere() async {
        let error = await #expect(throws: SetupError.self) { try await StoaConfiguration.load(file: "/nowhere/stoa.yaml", environment: [:]) }
        #expect(error?.description.contains("/nowhere/stoa.yaml") == true)
    }

    // MARK: The file in the checkout

    private static let example = TestCluster.projectRoot.appendingPathComponent("config/stoa.yaml")

    @Test func theFileInTheCheckoutSaysTheDefaults() async throws {
        let ours = try await StoaConfiguration.load(file: Self.example.path, environment: [:])
        let defaults = try await load()
        // Every stored value, secrets not among them.
        #expect("\(ours)" == "\(defaults)")
    }

    @Test func theFileInTheCheckoutExplainsEverySetting() throws {
        let text = try String(contentsOf: Self.example, encoding: .utf8)
        var keys: Set<String> = []
        var section = ""
        for line in text.split(separator: "\n") {
            // A setting, or the example of one: "key: value" after perhaps "# ".
            guard let match = line.wholeMatch(of: /( *)(# )?([a-z_]+):(.*)/) else { continue }
            let (indent, isExample, name, value) = (match.1, match.2 != nil, String(match.3), match.4)
            if indent.isEmpty, !isExample, value.isEmpty {
                section = name + "."
            } else {
                keys.insert((indent.isEmpty ? "" : section) + name)
            }
        }
        #expect(keys == Set(StoaConfiguration.Key.all.filter { !$0.isSecret }.map(\.key)))
        for secret in StoaConfiguration.Key.all where secret.isSecret { #expect(text.contains(secret.variable)) }
    }
}
