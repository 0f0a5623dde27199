// The public face of benefits: what a resident received, and how the city sets up a programme.
public import Foundation
public import Ledger
public import Postgres
public import Primitives
public import Web

/// What `DisbursementID` names: one payment of a benefit.
public enum DisbursementTag {}
public typealias DisbursementID = ID<DisbursementTag>

/// A benefit that reached the resident's wallet.
public struct ReceivedBenefit: Sendable {
    public let id: DisbursementID
    public let transferID: TransferID
    public let programme: LocalisedText
    /// What entitles people to it.
    public let law: String
    public let amount: Money
    /// Why, as the preparer wrote it for the resident.
    public let reason: String
    public let caseReference: String
    public let paidAt: Date
}

/// What residents received, for the pages that show their money.
public struct ReceivedBenefits: Sendable {
    private let database: Database

    public init(database: Database) {
        self.database = database
    }

    /// Newest first, of the resident whom the credential names: a session, or an app's token with scope `payments`.
    /// - Parameter count: at most 200.
    public func newest(_ count: Int, before cursor: MomentCursor?, of credential: CredentialHash) async throws -> [ReceivedBenefit] {
        try await database.query(ReceivedBy(credential: credential, before: cursor, count: count))
    }
}

/// A benefit programme, as it is set up.
public struct NewProgramme: Sendable {
    /// A stable word, like `heating-allowance`.
    public var id: String
    public var name: LocalisedText
    public var law: String
    /// A treasury account of the limit's currency.
    public var paidFrom: LedgerAccountID
    /// More in one payment is refused.
    public var paymentMax: Money

    public init(id: String, name: LocalisedText, law: String, paidFrom: LedgerAccountID, paymentMax: Money) {
        self.id = id
        self.name = name
        self.law = law
        self.paidFrom = paidFrom
        self.paymentMax = paymentMax
    }
}

/// A payment to have ready for approval without a look-up at the counter: the demo city.
public struct NewDisbursement: Sendable {
    public var id: DisbursementID
    public var programmeID: String
    public var residentID: ResidentID
    public var caseReference: String
    public var amount: Money
    public var reason: String
    public var preparedBy: StaffID

    public init(
        id: DisbursementID, programmeID: String, residentID: ResidentID, caseReference: String, amount: Money, reason: String, preparedBy: StaffID
    ) {
        self.id = id
        self.programmeID = programmeID
        self.residentID = residentID
        self.caseReference = caseReference
        self.amount = amount
        self.reason = reason
        self.preparedBy = preparedBy
    }
}

/// Sets up programmes, for the demo city. The role that serves cannot.
public struct BenefitsAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Adds a programme; one with this id stays as it is.
    public func add(_ programme: NewProgramme) async throws {
        try await owner.execute(
            """
            INSERT INTO benefits.programme (id, name, law, currency, paid_from, payment_max)
            VALUES (\(programme.id), \(programme.name.json), \(programme.law), \(programme.paymentMax.currency.code), \(programme.paidFrom),
                    \(programme.paymentMax.minorUnits))
            ON CONFLICT (id) DO NOTHING
            """)
    }

    /// Prepares a payment that waits for its approver; one with this id stays as it is.
    public func prepare(_ disbursement: NewDisbursement) async throws {
        try await owner.execute(
            """
            INSERT INTO benefits.disbursement (id, programme_id, resident_id, case_reference, currency, amount, reason, prepared_by)
            VALUES (\(disbursement.id), \(disbursement.programmeID), \(disbursement.residentID), \(disbursement.caseReference),
                    \(disbursement.amount.currency.code), \(disbursement.amount.minorUnits), \(disbursement.reason), \(disbursement.preparedBy))
            ON CONFLICT (id) DO NOTHING
            """)
    }
}
