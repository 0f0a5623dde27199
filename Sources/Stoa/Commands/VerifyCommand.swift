// `stoa verify ledger` and `stoa verify log`: what the city promises, computed again from the rows by the auditor's role.
import AccessLog
import ArgumentParser
import Foundation
import Ledger
import Postgres
import TransparencyLog

/// `stoa verify …`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Proves that the ledger adds up and that the access log is whole.",
        subcommands: [VerifyLedgerCommand.self, VerifyLogCommand.self])
}

/// `stoa verify ledger`
struct VerifyLedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Every account equals the sum of its entries, and all entries sum to zero in each currency.",
        discussion: "Exit status 1 when anything does not add up; each finding is a line.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        let report = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.withPool(.auditor, logger: configuration.makeLogger()) { try await LedgerVerification(auditor: $0).run() }
        }
        print("\(report.accounts) accounts, \(report.transfers) transfers, \(report.entries) entries.")
        for finding in report.findings { print("\(finding.kind) \(finding.subject): expected \(finding.expected), found \(finding.found)") }
        guard report.isSound else { throw ExitCode.failure }
        print("The ledger adds up.")
    }
}

/// `stoa verify log`
struct VerifyLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Recomputes the tree of the access log from its rows, and checks every signed head.",
        discussion: "Exit status 1 when anything is not as promised; each finding is a line.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let result = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            let signer = try await installation.withPool(.app, logger: logger) { database in
                try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson).logSigner
            }
            return try await installation.withPool(.auditor, logger: logger) { database in
                let progress = ProgressReport("Verifying the log")
                let result = try await LogVerifier(database: database, verifier: signer.verifier).verify { progress.update($0, of: $1) }
                progress.finish(result.leafCount, of: result.leafCount)
                return result
            }
        }
        print("\(result.leafCount) leaves, \(result.erasedCount) of them erased on record, \(result.checkpointCount) signed heads, \(result.waitingCount) entries wait for their leaf.")
        for finding in result.findings { print(finding) }
        guard result.isWhole else { throw ExitCode.failure }
        print("The log is whole.")
    }
}
