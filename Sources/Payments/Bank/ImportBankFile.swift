// Taking in a file of the bank: read whole or refused whole, booked once, and residents told whose bills it paid. For a finance officer's page, and
// for the command line of the city's engineers. Decided in `payments.take_bank_file` (0029_bank.sql) and, where it tells of
// payouts of the city, in `payouts.follow_bank` (0044_payouts_at_bank.sql).
public import Foundation
import ISO20022
import Messages
public import Postgres
import Primitives
import Web

/// What became of a file.
public enum BankImport: Sendable, Hashable {
    case imported([ImportedReport])
    /// The same file was imported before: nothing happened.
    case exists
}

/// One account's part of a file.
public struct ImportedReport: Sendable, Hashable {
    public let id: UUID
    public let account: String
    /// Why it booked nothing yet, in the words of migrations/0029; empty when it did.
    public let problems: [String]
    /// New movements; those that were known from earlier files; and the payments that found their bill.
    public let booked: Int
    public let known: Int
    public let matched: Int
}

/// Why a file was refused as a whole, besides ``BankFileFault``.
public enum BankImportRefusal: Error, Sendable, Hashable {
    /// An account that is none of the city's, and the line where it stands.
    case accountUnknown(String, line: Int)
    case roleMissing
}

struct ImportBankFile: Sendable {
    let database: Database

    /// A file of ``BankFile/bytesMax`` takes some seconds of small statements inside one.
    private static let statementSeconds = 120

    /// - Parameter query: `payments.import_bank_file` or, for the owner, `payments.take_bank_file`.
    /// - Throws: ``BankImportRefusal``; `DatabaseError`
    func perform(_ query: some Query<JSONText>) async throws -> BankImport {
        try await database.transaction { transaction in
            try await transaction.execute("SET LOCAL statement_timeout = '\(unsafeRaw: String(Self.statementSeconds))s'")
            let answer = try BankAnswer(await transaction.one(query))
            switch answer.outcome {
            case "imported":
                try await BankNotices.send(answer.notices, on: transaction)
                return .imported(try answer.reports.map { try ImportedReport($0) })
            case "exists": return .exists
            case "account_unknown": throw BankImportRefusal.accountUnknown(answer["account"]?.text ?? "", line: answer.integer("line"))
            default: throw BankImportRefusal.roleMissing
            }
        }
    }
}

/// What the functions of migrations/0029 answer in JSON.
struct BankAnswer: Sendable {
    private let value: JSONValue

    init(_ text: JSONText) throws {
        value = try JSONScanner.scan(text.text.utf8)
    }

    init(_ value: JSONValue) {
        self.value = value
    }

    subscript(name: String) -> JSONValue? { value[name] }
    var outcome: String { value["outcome"]?.text ?? "" }
    var reports: [BankAnswer] { list("reports").map(BankAnswer.init) }
    var notices: [BankAnswer] { list("notices").map(BankAnswer.init) }

    func integer(_ name: String) -> Int {
        guard case .integer(let number)? = value[name] else { return 0 }
        return Int(number)
    }

    func list(_ name: String) -> [JSONValue] {
        guard case .array(let items)? = value[name] else { return [] }
        return items
    }
}

extension ImportedReport {
    init(_ answer: BankAnswer) throws {
        guard let id = answer["id"]?.text.flatMap({ UUID(uuidString: $0) }) else { throw DatabaseError.decoding(column: "reports", reason: "have no id") }
        self.id = id
        account = answer["account"]?.text ?? ""
        problems = answer.list("problems").compactMap(\.text)
        booked = answer.integer("booked")
        known = answer.integer("known")
        matched = answer.integer("matched")
    }
}

/// Tells residents what a bank transfer, or cash, did for their bill.
enum BankNotices {
    static func send(_ notices: [BankAnswer], as kind: MessageKind = .transferReceived, on executor: some Executor) async throws {
        for notice in notices {
            guard let resident = notice["resident"]?.text.flatMap({ ResidentID($0) }), let reference = notice["reference"]?.text,
                let currency = notice["currency"]?.text.flatMap({ Currency(code: $0) })
            else { throw DatabaseError.decoding(column: "notices", reason: "lack a resident, a reference or a currency") }
            let language = notice["language"]?.text ?? "en"
            let amount = Money(minorUnits: Int64(notice.integer("amount")), currency: currency).formatted(locale: language)
            try await Messages.send(
                notice["is_payment"] == .bool(true) ? kind : .billOverpaid, to: resident, ["amount": amount, "reference": reference], on: executor)
        }
    }
}

/// What only the owner of the database may do about the bank: say which accounts the city has, and import without anybody signed in.
public struct BankAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Enters an account of the city, and opens its two accounts in the ledger.
    /// - Returns: false when it was there already; nothing changed then.
    /// - Throws: `DatabaseError` naming the rule that it breaks.
    @discardableResult
    public func open(_ account: NewBankAccount) async throws -> Bool {
        try await owner.one(OpenBankAccount(account: account))
    }

    /// Imports a file on the command line.
    /// - Throws: ``BankFileFault``, ``BankImportRefusal``, `DatabaseError`
    public func importFile(_ bytes: [UInt8]) async throws -> BankImport {
        let document = try BankDocument(reading: bytes)
        return try await ImportBankFile(database: owner).perform(TakeBankFile(document: document))
    }
}
