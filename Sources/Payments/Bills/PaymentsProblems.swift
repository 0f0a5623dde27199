// What can go wrong with a payment, as both faces say it.
import HTTPTypes
import Primitives
import Web

extension PayBillRefusal {
    var problem: Problem {
        switch self {
        case .alreadyPaid(let bill):
            Problem(
                "bill-already-paid", status: .conflict, title: "Already paid",
                detail: "This bill is paid, and nothing was taken from the wallet now. GET /api/v1/bills/\(bill.id) shows the payment.",
                members: bill.payment.map { [("payment", .string($0.id.description))] } ?? [])
        case .insufficientFunds:
            Problem(
                "insufficient-funds", status: .unprocessableContent, title: "Not enough money",
                detail: "The wallet does not hold the amount of this bill, and nothing was taken from it. Pay money in first, then send the "
                    + "request with a new Idempotency-Key.")
        case .keyReused: .idempotencyKeyReused
        case .billUnknown: .notFound
        case .credentialInvalid: .forbidden
        }
    }
}
