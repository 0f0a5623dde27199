// `stoa verify ledger`, `stoa verify log` and `stoa verify consents`: what the city promises, computed again from the rows by the auditor's role.
// `stoa verify entry`: what the log promised a resident, checked from a file alone.
import AccessLog
import ArgumentParser
import Consent
import Foundation
import Ledger
import Postgres
import TransparencyLog

/// `stoa verify …`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Proves that the ledger adds up, that the access log and the consents are whole, and that an entry is in the log.",
        subcommands: [VerifyLedgerCommand.self, VerifyLogCommand.self, VerifyConsentsCommand.self, VerifyEntryCommand.self])
}

/// `stoa verify ledger`
struct VerifyLedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger",
        abstract: "Every account equals the sum of its entries, all entries sum to zero in each currency, and no transfer was changed since its batch was made.",
        discussion: """
            Exit status 1 when anything does not add up; each finding is a line. The hashes of the batches are compared with those in the log, and those with
            its signed heads by `stoa verify log`: run both.
            """)

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        let report = try await Installation.withAuditor(configuration, say: sayToPerson) { try await LedgerVerification(auditor: $0).run() }
        print("\(report.accounts) accounts, \(report.transfers) transfers, \(report.entries) entries; \(report.batches) batches, \(report.waiting) transfers wait for theirs.")
        for finding in report.findings { print("\(finding.kind) \(finding.subject): expected \(finding.expected), found \(finding.found)") }
        guard report.isSound else { throw ExitCode.failure }
        print("The ledger adds up.")
    }
}

/// `stoa verify consents`
struct VerifyConsentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consents", abstract: "Every consent event carries the hash of the one before it, and the switches stand as the newest events left them.",
        discussion: "Exit status 1 when anything differs; each finding is a line.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        let findings = try await Installation.withAuditor(configuration, say: sayToPerson) { try await ConsentVerification(auditor: $0).run() }
        for finding in findings { print(finding) }
        guard findings.isEmpty else { throw ExitCode.failure }
        print("The consents are whole.")
    }
}

/// `stoa verify log`
struct VerifyLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Recomputes the tree of the access log from its rows, and checks every signed head.",
        discussion: """
            Exit status 1 when anything is not as promised; each finding is a line. It needs no secret: an auditor elsewhere sets
            database.auditor_url and gives the city's published verifier key with --vkey.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The log's verifier key, as `stoa log vkey` prints it (default: that of the signing key which is here).") var vkey: String?

    func run() async throws {
        let configuration = try await common.load()
        let verifier = try verifier(configuration)
        let result = try await Installation.withAuditor(configuration, say: sayToPerson) { database in
            let progress = ProgressReport("Verifying the log")
            let result = try await LogVerifier(database: database, verifier: verifier).verify { progress.update($0, of: $1) }
            progress.finish(result.leafCount, of: result.leafCount)
            return result
        }
        print("\(result.leafCount) leaves, \(result.erasedCount) of them erased on record, \(result.checkpointCount) signed heads with \(result.cosignatureCount) signatures of witnesses, \(result.waitingCount) entries wait for their leaf.")
        for finding in result.findings { print(finding) }
        guard result.isWhole else { throw ExitCode.failure }
        print("The log is whole.")
    }

    private func verifier(_ configuration: StoaConfiguration) throws -> Ed25519NoteVerifier {
        guard let vkey else { return try KeyRing.logVerifier(configuration, keysDirectory: configuration.dataDirectory + "/keys") }
        return try Ed25519NoteVerifier(option: vkey)
    }
}

/// `stoa verify entry`
struct VerifyEntryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "entry", abstract: "Checks the proof of one access entry, or of the decision on a receipt, and prints what the log says.",
        discussion: """
            FILE is what a resident downloads beside an entry or a receipt (.tlog-proof). Nothing else is asked: no server, no database, no settings. The
            verifier key is the one that the city publishes (`stoa log vkey`); take it from somewhere other than the file, and likewise the keys of
            witnesses: each that signed the head has seen, apart from the city, that the log only grew. Exit status 1 when the entry does not stand.
            """)

    @Argument(help: "The proof.", completion: .file()) var file: String
    @Option(help: "The log's published verifier key, name+id+key.") var vkey: String
    @Option(help: ArgumentHelp("The verifier key of a witness that you trust; once for each.", valueName: "vkey")) var witness: [String] = []

    func run() async throws {
        let verifier = try Ed25519NoteVerifier(option: vkey)
        let witnesses = try witness.map { try CosignatureVerifier(option: $0) }
        guard let content = FileManager.default.contents(atPath: file) else { throw SetupError("The file \(file) cannot be read.") }
        do {
            let proven = try ProvenEntry(checking: content, log: verifier, witnesses: witnesses)
            print("The entry stands: leaf \(proven.index), where leaf 0 is the first, of the \(proven.treeSize) that the log \(proven.origin) signed.")
            print(proven.witnessLine(of: Set(witnesses).count))
            for line in proven.lines { print(line) }
        } catch {
            print("The entry does not stand: \(error.explanation)")
            throw ExitCode.failure
        }
    }
}

extension EntryProofFault {
    fileprivate var explanation: String {
        switch self {
        case .malformed(let line): "this is no whole proof (c2sp.org/tlog-proof)" + (line.map { "; look at line \($0)." } ?? ".")
        case .cosignatureInvalid: "a signature of one of the witnesses does not fit the head."
        case .headNotSigned: "the head in the proof is not signed by this verifier key."
        case .notIncluded: "the entry, its salt, its place or the path to the root was changed."
        case .unreadable: "the proof is of something that this version does not read."
        }
    }
}

extension ProvenEntry {
    /// - Parameter count: of the witnesses whose keys were given.
    fileprivate func witnessLine(of count: Int) -> String {
        guard count > 0 else { return "No witness was asked for (--witness): that everybody is shown this log rests on the log alone." }
        let names = witnesses.isEmpty ? "" : ": " + witnesses.map(\.name).joined(separator: ", ")
        return "\(witnesses.count) of the \(count) witnesses signed this head\(names)."
    }
}

extension Ed25519NoteVerifier {
    /// - Parameter option: as somebody typed it after `--vkey`.
    fileprivate init(option: String) throws {
        do {
            try self.init(vkey: option)
        } catch {
            throw SetupError("The verifier key after --vkey \(error).")
        }
    }
}

extension CosignatureVerifier {
    /// - Parameter option: as somebody typed it after `--witness`.
    fileprivate init(option: String) throws {
        do {
            try self.init(vkey: option)
        } catch {
            throw SetupError("The verifier key after --witness \(error).")
        }
    }
}
