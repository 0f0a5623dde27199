// The JSON of money out. Amounts are whole minor units beside their currency.
import HTTPTypes
import Primitives
import Web

struct PayoutBody: Encodable, Sendable {
    let id: String
    /// `wallet`, `benefit` or `refund`.
    let kind: String
    let currency: String
    let amount: Int64
    /// What stands on the account statement.
    let reference: String
    let createdAt: String
    let state: String
    let since: String
    /// Of one that failed: ExternalStatusReason1Code of ISO 20022, or the bank's own word.
    let reason: String?
    let mayIssueAgain: Bool

    init(_ own: OwnPayout) {
        id = own.id.description
        kind = own.kind
        currency = own.amount.currency.code
        amount = own.amount.minorUnits
        reference = own.endToEndID
        createdAt = RFC3339.text(own.createdAt)
        state = own.state.rawValue
        since = RFC3339.text(own.since)
        reason = own.reason
        mayIssueAgain = own.mayIssueAgain
    }
}

/// Why money is not taken out, in the words of `payouts.take_out`.
enum PayoutProblem {
    static func of(_ outcome: String) -> Problem {
        switch outcome {
        case "id_conflict":
            Problem("payout-id-conflict", status: .conflict, title: "Another request has this id", detail: "An id names one request for ever. Send this one with a new id.")
        case "insufficient_funds":
            Problem("payout-insufficient-funds", status: .unprocessableContent, title: "Not enough money", detail: "The wallet holds less than that. Nothing was taken.")
        case "account_missing":
            Problem(
                "payout-account-missing", status: .unprocessableContent, title: "No bank account",
                detail: "The resident has given no bank account. Accounts are given on the page /payout-account.")
        case "channel_unknown":
            Problem("payout-currency-unavailable", status: .unprocessableContent, title: "No way out in this currency", detail: "The city pays out in other currencies only.")
        default: .forbidden
        }
    }
}
