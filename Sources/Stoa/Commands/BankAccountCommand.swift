// `stoa bank-account add`: which accounts at banks are the city's. Files of the bank about others are refused; the role that serves can enter none.
import ArgumentParser
import Foundation
import Payments
import Postgres
import Primitives

/// `stoa bank-account …`
struct BankAccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bank-account", abstract: "The city's accounts at banks.", subcommands: [BankAccountAddCommand.self])
}

/// `stoa bank-account add`
struct BankAccountAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Enters an account of the city.",
        discussion: """
            The ledger gets two accounts with it: the money at the bank, and that part of which nobody knows yet whom it is for. Then its files can be imported
            (`stoa import statement`).
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The IBAN, or what the bank calls the account in its files.") var account: String
    @Option(help: "Whom to make a transfer out to: the city's name at the bank, at most 70 characters.") var holder: String
    @Option(help: "Its currency, such as EUR.") var currency: String
    @Flag(help: "Bills of this currency ask to be paid into it. One account a currency can.") var collects = false

    func validate() throws {
        guard identification.wholeMatch(of: /[A-Z0-9]{4,34}/) != nil else {
            throw ValidationError("\"\(account)\" cannot be an account: 4 to 34 letters and digits, as it stands in the bank's files.")
        }
        guard (1...70).contains(holder.unicodeScalars.count) else { throw ValidationError("--holder has 1 to 70 characters.") }
        guard Currency(code: currency) != nil else { throw ValidationError("\"\(currency)\" is no currency that is known.") }
    }

    private var identification: String { account.uppercased().filter { $0 != " " } }

    func run() async throws {
        guard let currency = Currency(code: currency) else { return }
        let new = NewBankAccount(identification: identification, holder: holder, currency: currency, collects: collects)
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let isNew: Bool
        do {
            isNew = try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
                try await installation.migrate()
                return try await installation.withPool(.owner, logger: logger) { try await BankAdministration(owner: $0).open(new) }
            }
        } catch let error as DatabaseError where error.constraint == "bank_account_collects" {
            throw SetupError("Bills in \(currency) are paid into another account already. Leave --collects away. Nothing was changed.")
        }
        print(isNew ? "\(new.identification) is an account of the city." : "\(new.identification) was an account of the city already. Nothing was changed.")
    }
}
