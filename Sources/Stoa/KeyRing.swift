// The keys of a city: one opens personal data, one finds people, one signs the log. They are made only together with an
// empty database: a database whose keys are lost must never be given new ones that open nothing. A fourth signs the heads of others' logs.
import AccessLog
import Crypto
import Foundation
import Postgres
import Primitives
import Register
import TransparencyLog
import Web

/// The keys, ready for use.
struct KeyRing: Sendable {
    let vault: ResidentVault
    let lookup: LookupKey
    let logSigner: Ed25519NoteSigner
    /// Nil where this city is no witness.
    var witnessSigner: CosignatureSigner?

    /// AES-256 and HMAC-SHA-256 both take 32 bytes.
    private static let keyBytes = 32

    /// Reads the keys from where they are configured, or makes them for a database that is still empty.
    /// - Parameters:
    ///   - database: as the role that serves; migrated.
    ///   - say: told when keys are made, because somebody must keep a copy of them.
    /// - Throws: `SetupError`, `KeyCheckError`, `LogKeyError`
    static func open(_ configuration: StoaConfiguration, data: DataDirectory, database: Database, say: Say) async throws -> KeyRing {
        let settings = configuration.keys
        let isEmpty = try await database.one(HasNoKeyCheck())
        try makeDirectory(data.keys)
        let encryption = KeySource(
            what: "key-encryption key", file: settings.encryptionFile ?? data.keys + "/encryption.key", variable: StoaConfiguration.Key.encryption.variable,
            text: settings.encryption)
        let lookup = KeySource(
            what: "look-up key", file: settings.lookupFile ?? data.keys + "/lookup.key", variable: StoaConfiguration.Key.lookup.variable,
            text: settings.lookup)
        let signing = signingSource(settings, keysDirectory: data.keys)

        let made = try [
            encryption.make(ifEmpty: isEmpty) { randomKey() },
            lookup.make(ifEmpty: isEmpty) { randomKey() },
            signing.make(ifEmpty: isEmpty) { try newSigningKey(origin: configuration.logOrigin ?? configuration.baseURL.defaultLogOrigin) },
        ]
        if made.contains(true) { say("Made the keys of this database in \(data.keys). Keep a copy apart from the database's backups.") }

        var ring = KeyRing(
            vault: ResidentVault(keyEncryptionKey: try key(from: encryption)), lookup: LookupKey(secret: try key(from: lookup)),
            logSigner: try signer(from: signing, origin: configuration.logOrigin))
        try await KeyCheck(vault: ring.vault, lookup: ring.lookup).run(on: database)
        try await LogKeyCheck(verifier: ring.logSigner.verifier).run(on: database)
        if !configuration.witnessedLogs.isEmpty {
            ring.witnessSigner = try await witnessSigner(configuration, keysDirectory: data.keys, database: database, say: say)
        }
        return ring
    }

    /// The key of this city as a witness. It is made where nothing was signed under its name yet: what a witness signed binds the key that signed it.
    private static func witnessSigner(
        _ configuration: StoaConfiguration, keysDirectory: String, database: Database, say: Say
    ) async throws -> CosignatureSigner {
        let name = configuration.witnessName ?? configuration.baseURL.host + "/witness"
        let source = witnessSource(configuration.keys, keysDirectory: keysDirectory)
        // Reads all that was ever signed: asked only where it matters.
        let isNew = source.exists ? false : try await database.one(HasCosignedNothing(name: name))
        if try source.make(ifEmpty: isNew, { try newWitnessKey(name: name) }) { say("Made the witness's key in \(source.place). Keep a copy with the others.") }
        return try witnessSigner(from: source, name: configuration.witnessName)
    }

    /// The public half of the witness's key, for those who hold that key here: no database is asked.
    /// - Throws: `SetupError`, also when there is no such key here.
    static func witnessVerifier(_ configuration: StoaConfiguration, keysDirectory: String) throws -> CosignatureVerifier {
        let source = witnessSource(configuration.keys, keysDirectory: keysDirectory)
        guard source.exists else {
            throw SetupError("There is no witness's key here (\(source.place)). `stoa serve` makes it when witness.logs names a log.")
        }
        return try witnessSigner(from: source, name: configuration.witnessName).verifier
    }

    private static func witnessSource(_ settings: StoaConfiguration.KeySettings, keysDirectory: String) -> KeySource {
        KeySource(
            what: "witness's key", file: settings.witnessFile ?? keysDirectory + "/witness.key", variable: StoaConfiguration.Key.witness.variable,
            text: settings.witness)
    }

    /// The public half of the log's signing key, for those who hold that key here: no database is asked.
    /// - Parameter keysDirectory: where the key's file is unless the settings name another place.
    /// - Throws: `SetupError`, also when there is no such key here.
    static func logVerifier(_ configuration: StoaConfiguration, keysDirectory: String) throws -> Ed25519NoteVerifier {
        let source = signingSource(configuration.keys, keysDirectory: keysDirectory)
        guard source.exists else {
            throw SetupError("The log's signing key is not here (\(source.place)). Where it is, `stoa log vkey` prints the verifier key; give that with --vkey.")
        }
        return try signer(from: source, origin: configuration.logOrigin).verifier
    }

    private static func signingSource(_ settings: StoaConfiguration.KeySettings, keysDirectory: String) -> KeySource {
        KeySource(
            what: "log's signing key", file: settings.logSigningFile ?? keysDirectory + "/log-signing.key",
            variable: StoaConfiguration.Key.logSigning.variable, text: settings.logSigning)
    }

    private static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SetupError("The directory \(path) cannot be made: \(lastSystemError()).") }
    }

    private static func randomKey() -> String {
        SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64EncodedString()
    }

    private static func key(from source: KeySource) throws -> [UInt8] {
        guard let bytes = Data(base64Encoded: try source.read()), bytes.count == keyBytes else {
            throw SetupError("The \(source.what) in \(source.place) is not \(keyBytes) bytes in base64.")
        }
        return Array(bytes)
    }

    // The signing key is written as Go's note package writes one, so that the tools of other logs read it:
    // PRIVATE+KEY+<origin>+<key id>+<base64 of 0x01 and the seed>.

    private static func newSigningKey(origin: String) throws -> String {
        do {
            let signer = try Ed25519NoteSigner.generate(name: origin)
            return privateKeyText(vkey: signer.verifier.vkey, type: ed25519Algorithm, seed: signer.revealSeed())
        } catch {
            throw SetupError("The setting log.origin is \"\(origin)\". It must be a name without spaces and plus signs, such as city.example/log.")
        }
    }

    private static func newWitnessKey(name: String) throws -> String {
        do {
            let signer = try CosignatureSigner.generate(name: name)
            return privateKeyText(vkey: signer.verifier.vkey, type: cosignatureAlgorithm, seed: signer.revealSeed())
        } catch {
            throw SetupError("The setting witness.name is \"\(name)\". It must be a name without spaces and plus signs, such as city.example/witness.")
        }
    }

    private static func privateKeyText(vkey: String, type: UInt8, seed: [UInt8]) -> String {
        let parts = vkey.split(separator: "+", maxSplits: 2)
        return "PRIVATE+KEY+\(parts[0])+\(parts[1])+\(Data([type] + seed).base64EncodedString())"
    }

    /// - Returns: the name and the seed of a key of this type, once `vkey` has the id that the text names.
    private static func privateKey<Key>(
        from source: KeySource, type: UInt8, _ make: (_ name: String, _ seed: Data) throws -> Key, vkey: (Key) -> String
    ) throws -> Key {
        // At most five parts: base64 may hold a plus sign too.
        let parts = try source.read().split(separator: "+", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[0] == "PRIVATE", parts[1] == "KEY", let bytes = Data(base64Encoded: parts[4]), bytes.first == type,
            let key = try? make(parts[2], bytes.dropFirst()), vkey(key).split(separator: "+")[1] == parts[3]
        else { throw SetupError("The \(source.what) in \(source.place) is not of the form PRIVATE+KEY+….") }
        return key
    }

    private static func signer(from source: KeySource, origin: String?) throws -> Ed25519NoteSigner {
        let signer = try privateKey(from: source, type: ed25519Algorithm, { try Ed25519NoteSigner(name: $0, seed: $1) }, vkey: \.verifier.vkey)
        if let origin, origin != signer.name {
            throw SetupError(
                "The setting log.origin is \"\(origin)\", but the log was begun as \"\(signer.name)\". A log keeps its name: remove the setting.")
        }
        return signer
    }

    private static func witnessSigner(from source: KeySource, name: String?) throws -> CosignatureSigner {
        let signer = try privateKey(from: source, type: cosignatureAlgorithm, { try CosignatureSigner(name: $0, seed: $1) }, vkey: \.verifier.vkey)
        if let name, name != signer.verifier.name {
            throw SetupError(
                "The setting witness.name is \"\(name)\", but the key in \(source.place) is that of \"\(signer.verifier.name)\". Remove the setting; or, to begin as another witness, put that key away.")
        }
        return signer
    }

    private static let cosignatureAlgorithm: UInt8 = 4
    private static let ed25519Algorithm: UInt8 = 1
}

/// Where one key is: in the environment, else in a file that nobody else can read.
private struct KeySource {
    let what: String
    let file: String
    let variable: String
    let text: Redacted<String>?

    var place: String { text == nil ? file : variable }
    var exists: Bool { text != nil || FileManager.default.fileExists(atPath: file) }

    /// Makes the key's file if there is none. Returns whether it did.
    func make(ifEmpty databaseIsEmpty: Bool, _ content: () throws -> String) throws -> Bool {
        guard !exists else { return false }
        guard databaseIsEmpty else {
            throw SetupError("The \(what) of this database is missing: neither \(file) nor \(variable) holds it. Restore it from your copy of the keys.")
        }
        try writePrivateFile(Array((content() + "\n").utf8), to: file)
        return true
    }

    func read() throws -> String {
        if let text { return text.reveal() }
        let attributes = try? FileManager.default.attributesOfItem(atPath: file)
        if let mode = attributes?[.posixPermissions] as? NSNumber, mode.int32Value & 0o077 != 0 {
            throw SetupError("Others can read the \(what) in \(file). Take their rights away: chmod 600 \(file)")
        }
        guard let content = try? String(contentsOfFile: file, encoding: .utf8) else { throw SetupError("The \(what) in \(file) cannot be read.") }
        return content.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

private struct HasNoKeyCheck: Query {
    var sql: SQL { "SELECT NOT EXISTS (SELECT FROM register.key_check)" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// Whether no head was signed under this name, by any key.
private struct HasCosignedNothing: Query {
    let name: String
    var sql: SQL { "SELECT NOT EXISTS (SELECT FROM witness.cosigned_head AS h WHERE split_part(h.witness, '+', 1) = \(name))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

extension BaseURL {
    /// The log's name where none is configured: the host and not the port, which may change from start to start.
    fileprivate var defaultLogOrigin: String { host + "/log" }
}
