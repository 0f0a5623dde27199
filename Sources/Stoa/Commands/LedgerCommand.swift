// `stoa ledger export`: all that moved money, as a file that other programs add up by themselves.
public import ArgumentParser
import Foundation
public import Ledger
import Web

/// `stoa ledger …`
struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "About the ledger of this installation.", subcommands: [LedgerExportCommand.self])
}

extension JournalFormat: ExpressibleByArgument {}

/// `stoa ledger export`
struct LedgerExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Writes all transfers that moved money, in the order in which they count.",
        discussion: """
            On standard output: a line for each transfer (csv), or a journal that hledger or Beancount reads, where debits are positive and credits negative.
            Accounts have their kind and id, residents' wallets too: the file is personal data. It needs the auditor's role and no secret.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "csv, hledger or beancount.") var format: JournalFormat
    @Option(help: ArgumentHelp("What counts from before is left out (RFC 3339).", valueName: "moment")) var from: String?
    @Option(help: ArgumentHelp("What counts from then on is left out (RFC 3339).", valueName: "moment")) var to: String?

    func validate() throws {
        for text in [from, to].compactMap(\.self) where RFC3339.date(text) == nil {
            throw ValidationError("\(text) is no moment of RFC 3339, such as 2026-11-21T04:39:00Z.")
        }
    }

    func run() async throws {
        let (format, start, end) = (self.format, from.flatMap(RFC3339.date), to.flatMap(RFC3339.date))
        let configuration = try await common.load()
        try await Installation.withAuditor(configuration, say: sayToPerson) { auditor in
            let export = JournalExport(auditor: auditor, format: format, zone: configuration.city.timeZone)
            try await export.write(from: start, to: end) { try FileHandle.standardOutput.write(contentsOf: Data($0)) }
        }
    }
}
