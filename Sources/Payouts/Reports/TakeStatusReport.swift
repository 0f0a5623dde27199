// Taking what the bank says of a batch, whole or not at all: settled money leaves the city, rejected money goes back to where it came from.
// Decided in `payouts.apply_report` (0035_payouts.sql).
import Crypto
public import ISO20022
public import Postgres
import Primitives
public import Web

/// Why a report was not taken.
public enum StatusReportRefusal: Error, Sendable, Hashable {
    /// Not understood: the line, and what is wrong with it.
    case malformed(BankFileFault)
    /// No approved batch has the reference that the report names.
    case batchUnknown
    /// The report is about another number of payments than the batch holds.
    case countDiffers
    /// Or another control sum.
    case sumDiffers
    /// The batch has no such payment.
    case paymentUnknown(String)
    case amountDiffers(String)
    /// What it says cannot follow what is known of the payment, such as a rejection after the settlement.
    case stateDiffers(String)
    case roleMissing
}

/// What changed.
public struct TakenReport: Sendable, Hashable {
    public let batchReference: String
    /// The same file was taken before; nothing changed now.
    public let isKnown: Bool
    public let settled: Int
    public let rejected: Int
    public let returned: Int
}

public struct TakeStatusReport: Sendable {
    private let database: Database

    /// - Parameter database: of the role `stoa_app` for a finance officer; of `stoa_owner` for an import on the city's machine.
    public init(database: Database) {
        self.database = database
    }

    /// - Parameter credential: the finance officer's session; nil for an import on the city's machine.
    /// - Throws: ``StatusReportRefusal``, `DatabaseError`
    public func perform(_ bytes: [UInt8], by credential: CredentialHash?) async throws -> TakenReport {
        let report: StatusReport
        do {
            let file = try PaymentStatusFile(reading: bytes)
            guard let head = try await database.query(FilesToWrite(reference: file.orderID)).first else { throw StatusReportRefusal.batchUnknown }
            report = try StatusReport(file, in: head.controlSum.currency)
        } catch let fault as BankFileFault {
            throw StatusReportRefusal.malformed(fault)
        }
        let statement = TakeReport(credential: credential, report: report, sha256: Array(SHA256.hash(data: bytes)))
        let outcome = try await database.aboutBatch(statement)
        switch outcome.word {
        case "taken", "known":
            return TakenReport(
                batchReference: report.batchReference, isKnown: outcome.word == "known", settled: outcome.settled, rejected: outcome.rejected,
                returned: outcome.returned)
        case "batch_unknown": throw StatusReportRefusal.batchUnknown
        case "count_differs": throw StatusReportRefusal.countDiffers
        case "sum_differs": throw StatusReportRefusal.sumDiffers
        case "payment_unknown": throw StatusReportRefusal.paymentUnknown(outcome.detail ?? "")
        case "amount_differs": throw StatusReportRefusal.amountDiffers(outcome.detail ?? "")
        case "state_differs": throw StatusReportRefusal.stateDiffers(outcome.detail ?? "")
        default: throw StatusReportRefusal.roleMissing
        }
    }
}
