// `stoa payouts`: how money goes out, the files for the bank, and what the bank says of them.
import ArgumentParser
import Foundation
import Ledger
import Payouts
import Postgres
import Primitives

/// `stoa payouts …`
struct PayoutsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "payouts", abstract: "Writes the files of approved batches, imports the bank's reports, and sets the city's account.",
        subcommands: [PayoutsWriteCommand.self, PayoutsReportCommand.self, PayoutsChannelCommand.self])
}

/// `stoa payouts write BATCH`
struct PayoutsWriteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "write", abstract: "Writes the file of an approved batch (ISO 20022 pain.001.001.09).",
        discussion: """
            The server does this by itself after the approval; this command does it on another machine, or after an interruption. The file lies under
            payouts/ in the data directory, for its owner alone, and its hash is printed. Written again it is the same, byte for byte. Everybody
            whose name and account is read has an entry about it in their log, in the name of whoever approved the batch.
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "The batch's reference, such as PAYOUT-20261121-0A1B2C3D4E5F.") var batch: String

    func run() async throws {
        let reference = batch
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let file = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.app, logger: logger) { database in
                let keys = try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson)
                let files = PaymentFiles(database: database, vault: keys.vault, folder: configuration.payoutsFolder)
                let progress = ProgressReport("Writing payments")
                do {
                    let file = try await files.write(reference) { done, all in progress.update(done, of: all) }
                    progress.finish(file.payments, of: file.payments)
                    return file
                } catch let error as PaymentFileError {
                    throw SetupError("The file of \(reference) is not written: \(error).")
                }
            }
        }
        print("\(file.path)\n\(file.payments) payments, \(file.bytes) bytes, SHA-256 \(file.sha256.map { String(format: "%02x", $0) }.joined())")
    }
}

/// `stoa payouts report FILE`
struct PayoutsReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Imports what the bank says of a batch (ISO 20022 pain.002.001.10).",
        discussion: "A report is taken whole or not at all, and the same one twice changes nothing. Exit status 1 when it was refused; the reason is said.")

    @OptionGroup var common: CommonOptions
    @Argument(help: "The report.", completion: .file(extensions: ["xml"])) var file: String

    func run() async throws {
        guard let content = FileManager.default.contents(atPath: file) else { throw SetupError("The file \(file) cannot be read.") }
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let taken = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.owner, logger: logger) { owner in
                do {
                    return try await TakeStatusReport(database: owner).perform(Array(content), by: nil)
                } catch let refusal as StatusReportRefusal {
                    throw SetupError("Nothing was taken: \(refusal.explanation).")
                }
            }
        }
        guard !taken.isKnown else { return print("This report was taken before. Nothing changed.") }
        print("\(taken.batchReference): \(taken.settled) settled, \(taken.rejected) rejected, \(taken.returned) returned.")
    }
}

extension StatusReportRefusal {
    fileprivate var explanation: String {
        switch self {
        case .malformed(let fault): "\(fault)"
        case .batchUnknown: "no approved batch has the reference that the report names"
        case .countDiffers: "the report is about another number of payments than the batch holds"
        case .sumDiffers: "the report names another control sum than the batch has"
        case .paymentUnknown(let payment): "the batch holds no payment \(payment)"
        case .amountDiffers(let payment): "the report names another amount for \(payment)"
        case .stateDiffers(let payment): "what it says of \(payment) cannot follow what is known of it"
        case .roleMissing: "only a finance officer may"
        }
    }
}

/// `stoa payouts channel`
struct PayoutsChannelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "channel", abstract: "Sets from which account the city pays in a currency.",
        discussion: "Counts from the next batch on. The account in the ledger is the funding account that stands for the bank's.")

    @OptionGroup var common: CommonOptions
    @Option(help: "ISO 4217, such as EUR.") var currency: String
    @Option(help: "The holder as the bank writes it, in Latin letters, at most 70.") var holder: String
    @Option(help: "The account number.") var iban: String
    @Option(help: "The bank's BIC, where it asks for one.") var bic: String?
    @Option(help: "The holder's town, at most 35 letters.") var town: String
    @Option(help: "The holder's country, two letters.") var country: String
    @Option(help: "The funding account in the ledger that stands for this bank account.") var ledgerAccount: String

    func run() async throws {
        guard let currency = Currency(code: currency) else { throw ValidationError("\"\(self.currency)\" is no currency.") }
        guard let holder = SEPAText(holder, charactersMax: 70), let town = SEPAText(town, charactersMax: 35), let iban = IBAN(iban),
            let debtor = BankAccount(holder: holder, iban: iban, town: town, country: country)
        else { throw ValidationError("Holder, IBAN, town or country is not what a bank of the payment area takes.") }
        guard let bank = LedgerAccountID(ledgerAccount) else { throw ValidationError("\"\(ledgerAccount)\" is no id of a ledger account.") }
        let channel = PayoutChannel(currency: currency, debtor: debtor, bic: bic, bank: bank)
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            do {
                try await installation.withPool(.owner, logger: logger) { try await PayoutsAdministration(owner: $0).set(channel) }
            } catch let error as DatabaseError where error.constraint == "bank_account_funds" {
                throw SetupError("The ledger has no funding account \(bank) in \(currency.code). Nothing was changed.")
            }
        }
        print("The city pays in \(currency.code) from \(iban.text).")
    }
}

extension StoaConfiguration {
    /// Where the files of batches lie.
    var payoutsFolder: String { dataDirectory + "/payouts" }
}
