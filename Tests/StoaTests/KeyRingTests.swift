// The keys of a city: made once, with an empty database; never made anew for one that is not.
import Foundation
import Logging
import Postgres
import Register
import TestSupport
import Testing
import TransparencyLog

@testable import Stoa

@Suite("Keys")
struct KeyRingTests {
    private let nobody: Say = { _ in }

    private func withDatabase(_ body: (Database, DataDirectory) async throws -> Void) async throws {
        let test = try await TestCluster.migrated()
        let database = try Database(configuration: Database.Configuration(url: test.appURL), logger: Logger(label: "test"))
        try await body(database, freshDirectory())
        await database.shutdown()
        try await test.drop()
    }

    private func freshDirectory() throws -> DataDirectory {
        try DataDirectory(creating: TemporaryFolder.make().path)
    }

    private func configuration(_ environment: [String: String] = [:]) async throws -> StoaConfiguration {
        try await StoaConfiguration.load(
            file: TestCluster.projectRoot.appendingPathComponent("config/stoa.yaml").path, environment: environment)
    }

    private func words(_ body: () async throws -> Void) async -> String {
        do {
            try await body()
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func areMadeWithAnEmptyDatabaseAndKept() async throws {
        try await withDatabase { database, data in
            let said = Said()
            let made = try await KeyRing.open(configuration(), data: data, database: database, say: { said.append($0) })
            #expect(said.sentences.count == 1)
            for name in ["encryption.key", "lookup.key", "log-signing.key"] {
                let attributes = try FileManager.default.attributesOfItem(atPath: data.keys + "/" + name)
                #expect(attributes[.posixPermissions] as? NSNumber == 0o600)
            }
            #expect(try FileManager.default.attributesOfItem(atPath: data.keys)[.posixPermissions] as? NSNumber == 0o700)
            let again = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            #expect(again.vault.keyID == made.vault.keyID)
            #expect(again.logSigner.verifier == made.logSigner.verifier)
            #expect(again.logSigner.name == "localhost/log")
        }
    }

    @Test(arguments: ["encryption.key", "lookup.key", "log-signing.key"])
    func areNeverMadeForADatabaseThatHasSome(name: String) async throws {
        try await withDatabase { database, data in
            _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            try FileManager.default.removeItem(atPath: data.keys + "/" + name)
            let refusal = await words { _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody) }
            #expect(refusal.contains("Restore it from your copy") && refusal.contains(name))
            #expect(!FileManager.default.fileExists(atPath: data.keys + "/" + name))
        }
    }

    @Test(arguments: [("STOA_KEYS_ENCRYPTION_KEY", "key-encryption key"), ("STOA_KEYS_LOOKUP_KEY", "look-up key")])
    func ofAnotherCityAreRefused(variable: String, name: String) async throws {
        try await withDatabase { database, data in
            _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            let other = Data([UInt8](repeating: 5, count: 32)).base64EncodedString()
            let refusal = await words {
                _ = try await KeyRing.open(configuration([variable: other]), data: data, database: database, say: nobody)
            }
            #expect(refusal.contains(name) && refusal.contains("is not the one of this database") && refusal.contains("Restore"), "\(refusal)")
        }
    }

    @Test func thatDidNotSignTheLogAreRefused() async throws {
        try await withDatabase { database, data in
            let ring = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            let root = CompactRange().root
            let note = try Checkpoint(origin: ring.logSigner.name, size: 0, root: root).signed(by: [ring.logSigner])
            try await database.execute(
                "INSERT INTO access_log.checkpoint (tree_size, root, frontier, note) VALUES (0, \(root.bytes), '{}', \(note.description))")
            _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            // The same name and another key, as somebody would make who lost the first.
            let other = try Ed25519NoteSigner.generate(name: ring.logSigner.name)
            let text = "PRIVATE+KEY+\(other.name)+\(other.verifier.vkey.split(separator: "+")[1])+"
                + Data([1] + other.revealSeed()).base64EncodedString()
            let refusal = await words {
                _ = try await KeyRing.open(configuration(["STOA_KEYS_LOG_SIGNING_KEY": text]), data: data, database: database, say: nobody)
            }
            #expect(refusal.contains("did not sign the log of this database") && refusal.contains("Restore"), "\(refusal)")
        }
    }

    @Test func ofTheLogAreToldWithoutADatabase() async throws {
        try await withDatabase { database, data in
            let ring = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            #expect(try await KeyRing.logVerifier(configuration(), keysDirectory: data.keys) == ring.logSigner.verifier)
        }
        let nothing = await words { _ = try await KeyRing.logVerifier(configuration(), keysDirectory: freshDirectory().keys) }
        #expect(nothing.contains("--vkey"), "\(nothing)")
    }

    @Test func thatOthersCanReadAreRefused() async throws {
        try await withDatabase { database, data in
            _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody)
            try setMode(0o644, of: data.keys + "/lookup.key")
            let refusal = await words { _ = try await KeyRing.open(configuration(), data: data, database: database, say: nobody) }
            #expect(refusal.contains("chmod 600"))
        }
    }

    @Test func thatAreBrokenAreRefusedWithWords() async throws {
        try await withDatabase { database, data in
            let refusal = await words {
                _ = try await KeyRing.open(configuration(["STOA_KEYS_LOOKUP_KEY": "c2hvcnQ="]), data: data, database: database, say: nobody)
            }
            #expect(refusal.contains("STOA_KEYS_LOOKUP_KEY is not 32 bytes in base64"))
        }
    }

    @Test func ofTheLogKeepItsName() async throws {
        try await withDatabase { database, data in
            let made = try await KeyRing.open(configuration(["STOA_LOG_ORIGIN": "city.example/log"]), data: data, database: database, say: nobody)
            #expect(made.logSigner.name == "city.example/log")
            // Found again whatever base_url is now; refused under another name.
            let later = try await KeyRing.open(configuration(["STOA_BASE_URL": "https://new.example"]), data: data, database: database, say: nobody)
            #expect(later.logSigner.verifier == made.logSigner.verifier)
            let refusal = await words {
                _ = try await KeyRing.open(configuration(["STOA_LOG_ORIGIN": "other.example/log"]), data: data, database: database, say: nobody)
            }
            #expect(refusal.contains("A log keeps its name"))
        }
    }

    @Test func ofAWitnessAreMadeWhenFirstNeededAndNeverAnewUnderTheSameName() async throws {
        try await withDatabase { database, data in
            let log = try Ed25519NoteSigner.generate(name: "other.example/log").verifier.vkey
            #expect(try await KeyRing.open(configuration(), data: data, database: database, say: nobody).witnessSigner == nil)
            let settings = ["STOA_WITNESS_LOGS": log, "STOA_WITNESS_NAME": "city.example/witness"]
            let made = try #require(try await KeyRing.open(configuration(settings), data: data, database: database, say: nobody).witnessSigner)
            #expect(made.verifier.name == "city.example/witness")
            let file = data.keys + "/witness.key"
            #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber == 0o600)
            #expect(try await KeyRing.witnessVerifier(configuration(), keysDirectory: data.keys) == made.verifier)
            let otherName = await words {
                _ = try await KeyRing.open(
                    configuration(["STOA_WITNESS_LOGS": log, "STOA_WITNESS_NAME": "town.example/witness"]), data: data, database: database, say: nobody)
            }
            #expect(otherName.contains("put that key away"), "\(otherName)")

            try await database.execute(
                "INSERT INTO witness.cosigned_head (witness, origin, tree_size, root, note) VALUES (\(made.verifier.vkey), 'o', 1, sha256('x'), 'n')")
            try FileManager.default.removeItem(atPath: file)
            let lost = await words { _ = try await KeyRing.open(configuration(settings), data: data, database: database, say: nobody) }
            #expect(lost.contains("witness's key") && lost.contains("Restore it from your copy"), "\(lost)")
            let anew = try await KeyRing.open(
                configuration(["STOA_WITNESS_LOGS": log, "STOA_WITNESS_NAME": "town.example/witness"]), data: data, database: database, say: nobody)
            #expect(anew.witnessSigner?.verifier.name == "town.example/witness")
            // A log's key is none of a witness, and the other way round.
            let signing = try String(contentsOfFile: data.keys + "/log-signing.key", encoding: .utf8)
            let wrong = await words {
                _ = try await KeyRing.open(configuration(["STOA_WITNESS_LOGS": log, "STOA_KEYS_WITNESS_KEY": signing]), data: data, database: database, say: nobody)
            }
            #expect(wrong.contains("not of the form"), "\(wrong)")
        }
    }
}
