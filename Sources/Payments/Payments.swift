// The public face of payments: what a bill is, and how the city makes one out.
public import Ledger
public import Postgres
public import Primitives
public import Web

/// What `BillID` names.
public enum BillTag {}
public typealias BillID = ID<BillTag>

/// What `PaymentID` names. A payment's transfer in the ledger has the same id.
public enum PaymentTag {}
public typealias PaymentID = ID<PaymentTag>

/// What a bill is for.
public enum BillKind: String, Sendable, Hashable, CaseIterable {
    case tax
    case fee
    case fine
    case permit
    case rent
}

/// A bill to make out.
public struct NewBill: Sendable {
    public var id: BillID
    public var residentID: ResidentID
    public var kind: BillKind
    /// What people quote: capital letters, digits and dashes, once in the city.
    public var reference: String
    public var title: LocalisedText
    public var issuedOn: CalendarDay
    public var dueOn: CalendarDay
    /// A revenue account of the lines' currency.
    public var paysInto: LedgerAccountID
    /// At least one; a reduction is negative. They add up to the bill's amount.
    public var lines: [(description: LocalisedText, amount: Money)]

    public init(
        id: BillID, residentID: ResidentID, kind: BillKind, reference: String, title: LocalisedText, issuedOn: CalendarDay, dueOn: CalendarDay,
        paysInto: LedgerAccountID, lines: [(description: LocalisedText, amount: Money)]
    ) {
        self.id = id
        self.residentID = residentID
        self.kind = kind
        self.reference = reference
        self.title = title
        self.issuedOn = issuedOn
        self.dueOn = dueOn
        self.paysInto = paysInto
        self.lines = lines
    }
}

/// Makes out bills, for the demo city. The role that serves cannot.
public struct BillIssuing: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// - Returns: false when the bill was there already; nothing changed then.
    /// - Throws: `DatabaseError` naming the rule that the bill breaks; `MoneyError.currencyMismatch` for lines of several currencies.
    @discardableResult
    public func issue(_ bill: NewBill) async throws -> Bool {
        guard Set(bill.lines.map(\.amount.currency)).count == 1 else { throw MoneyError.currencyMismatch }
        return try await owner.one(IssueBill(bill: bill))
    }
}
