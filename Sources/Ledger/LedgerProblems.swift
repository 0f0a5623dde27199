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
        case .limitExceeded: "limit_exceeded"
        case .accountClosed: "account_closed"
        case .accountUnknown: "account_unknown"
        case .currencyMismatch: "currency_mismatch"
        case .rateMismatch: "rate_mismatch"
        case .periodClosed: "period_closed"
        case .holdUnknown: "hold_unknown"
        case .holdMismatch: "hold_mismatch"
        case .holdPosted: "hold_posted"
        case .holdVoided: "hold_voided"
        case .holdExpired: "hold_expired"
        case .originalUnknown: "original_unknown"
        case .reversalMismatch: "reversal_mismatch"
        case .alreadyReversed: "already_reversed"
        case .invalid: "invalid"
        case .batchRefused: "batch_refused"
        case .credentialInvalid: "credential_invalid"
        case .scopeMissing: "scope_missing"
        }
    }

    /// The field that explains the outcome.
    var field: String? {
        switch self {
        case .idConflict(let field), .accountUnknown(let field), .invalid(let field), .holdMismatch(let field), .holdExpired(let field),
            .reversalMismatch(let field):
            field
        case .currencyMismatch: "currency"
        case .rateMismatch: "bought_amount"
        case .periodClosed: "effective_at"
        case .holdUnknown, .holdPosted, .holdVoided: "hold_id"
        case .originalUnknown, .alreadyReversed: "reversal_of"
        default: nil
        }
    }

    /// Nil for what was done, now or before.
    /// - Parameter currency: of the amount that was sent.
    func problem(in currency: Currency) -> Problem? {
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
        case .limitExceeded:
            return refused(
                "limit-exceeded", .unprocessableContent, "Limit exceeded",
                "A balance would pass the limit of its account. This id stays refused; send a smaller amount under a new id.")
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
                "Both accounts must be in \(currency.code). Money changes its currency in a conversion (POST /api/v1/ledger/conversions).")
        case .rateMismatch:
            return refused(
                "rate-mismatch", .unprocessableContent, "Amounts do not agree with the rate",
                "What is sold at the rate, half a minor unit rounded up, is not what was sent in bought_amount. Mend the rate or one of the amounts.")
        case .periodClosed:
            return refused(
                "period-closed", .unprocessableContent, "Period closed",
                "The books are closed for the moment in effective_at. Send a later one, or leave it out: then the moment of posting counts.")
        case .holdUnknown:
            return refused(
                "hold-unknown", .unprocessableContent, "Hold unknown",
                "There is no hold of the id in hold_id, or it was refused when it came. Mend the id, or send the hold first.")
        case .holdMismatch(let field):
            return refused(
                "hold-mismatch", .unprocessableContent, "Does not fit the hold",
                "What you sent in \(field) does not fit the hold. Send its accounts, and its amount or, to post a part, less.")
        case .holdPosted, .holdVoided:
            return refused(
                "hold-ended", .unprocessableContent, "Hold ended", "The hold was ended before by another transfer. If money should still move, send a new post.")
        case .holdExpired(field: "expires_at"):
            return refused(
                "hold-expired", .unprocessableContent, "Hold expired", "The moment in expires_at has passed, so nothing was held. Send a later one.")
        case .holdExpired:
            return refused(
                "hold-expired", .unprocessableContent, "Hold expired",
                "The hold expired, and what it reserved is free again. If money should still move, send a new post or hold.")
        case .originalUnknown:
            return refused(
                "original-unknown", .unprocessableContent, "Original unknown",
                "There is no post or post_hold of the id in reversal_of that moved money. Mend the id; a hold is voided, not reversed.")
        case .reversalMismatch(let field):
            return refused(
                "reversal-mismatch", .unprocessableContent, "Not the opposite",
                "What you sent in \(field) does not reverse the original. Send its accounts the other way round, and the whole amount.")
        case .alreadyReversed:
            return refused(
                "already-reversed", .unprocessableContent, "Already reversed", "Another transfer reversed the original before; nothing moved now.")
        case .invalid(let field):
            return Problem(
                "invalid-body", status: .badRequest, title: "Invalid body", detail: "Mend the fields listed under errors and send the request again.",
                errors: [FieldProblem(field: field, code: "malformed", detail: "The ledger does not take this value.")])
        case .batchRefused:
            return refused("batch-refused", .unprocessableContent, "Batch refused", "A transfer that stands or falls with this one was refused; nothing was done.")
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
