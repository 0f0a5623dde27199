// From an outcome of the ledger to what the organisation reads: the word for programs, and what to do about it.
import HTTPTypes
import Primitives
import Web

extension TransferOutcome {
    /// The word of the interface, the same as the database's.
    var word: String {
        switch self {
        case .created: "created"
        case .exists: "exists"
        case .idConflict: "id_conflict"
        case .insufficientFunds: "insufficient_funds"
        case .balanceOverflow: "balance_overflow"
        case .accountClosed: "account_closed"
        case .accountUnknown: "account_unknown"
        case .currencyMismatch: "currency_mismatch"
        case .invalid: "invalid"
        case .batchRefused: "batch_refused"
        case .credentialInvalid: "credential_invalid"
        case .scopeMissing: "scope_missing"
        }
    }

    /// The field that explains the outcome.
    var field: String? {
        switch self {
        case .idConflict(let field), .accountUnknown(let field), .invalid(let field): field
        case .currencyMismatch: "currency"
        default: nil
        }
    }

    /// Nil for what was posted, now or before.
    func problem(of transfer: Transfer) -> Problem? {
        switch self {
        case .created, .exists:
            return nil
        case .idConflict(let field):
            return refused(
                "id-conflict", .conflict, "Id in use", "A transfer with this id is there, and differs in \(field). Send the same transfer, or a new id.")
        case .insufficientFunds:
            return refused(
                "insufficient-funds", .unprocessableContent, "Insufficient funds",
                "The account has not enough. This id stays refused; when there is money, send the transfer under a new id.")
        case .balanceOverflow:
            return refused(
                "balance-overflow", .unprocessableContent, "Balance too large",
                "A balance would pass \(Transfer.minorUnitsMax) minor units. This id stays refused; send a smaller amount under a new id.")
        case .accountClosed:
            return refused(
                "account-closed", .unprocessableContent, "Account closed",
                "One of the accounts is closed. This id stays refused; use an open account and a new id.")
        case .accountUnknown(let field):
            return refused(
                "account-unknown", .unprocessableContent, "Account unknown",
                "Your organisation has no account of the id in \(field). Open it first, or mend the id.")
        case .currencyMismatch:
            return refused(
                "currency-mismatch", .unprocessableContent, "Currencies differ",
                "Both accounts must be in \(transfer.amount.currency.code). A conversion is two transfers.")
        case .invalid(let field):
            return Problem(
                "invalid-body", status: .badRequest, title: "Invalid body", detail: "Mend the fields listed under errors and send the request again.",
                errors: [FieldProblem(field: field, code: "malformed", detail: "The ledger does not take this value.")])
        case .batchRefused:
            return refused("batch-refused", .unprocessableContent, "Batch refused", "Another transfer of the batch was refused; nothing was posted.")
        case .credentialInvalid, .scopeMissing:
            return callerProblem
        }
    }

    /// What stands against the caller, whatever was asked.
    var callerProblem: Problem { self == .scopeMissing ? .insufficientScope(ledgerScope) : BearerContext.invalidToken }

    private func refused(_ slug: String, _ status: HTTPResponse.Status, _ title: String, _ detail: String) -> Problem {
        var members: [(name: String, value: JSONValue)] = [("result", .string(word))]
        if let field { members.append(("field", .string(field))) }
        return Problem(slug, status: status, title: title, detail: detail, members: members)
    }
}

private let ledgerScope = "ledger.post"

extension AccountOpening {
    /// Nil for an account that is there.
    var problem: Problem? {
        switch self {
        case .created, .exists: nil
        case .idConflict:
            Problem(
                "id-conflict", status: .conflict, title: "Id in use",
                detail: "This id names another account. Send what the account was opened with, or a new id.", members: [("result", .string(rawValue))])
        case .credentialInvalid: BearerContext.invalidToken
        case .scopeMissing: .insufficientScope(ledgerScope)
        }
    }
}

extension AccountRefusal {
    var problem: Problem {
        switch self {
        case .accountUnknown: .notFound
        case .credentialInvalid: BearerContext.invalidToken
        case .scopeMissing: .insufficientScope(ledgerScope)
        }
    }
}
