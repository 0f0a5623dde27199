// The bytes of a batch's file: CustomerCreditTransferInitiationV09 (ISO 20022 pain.001.001.09) within the implementation guidelines of the EPC for SEPA
// credit transfers (EPC132-08), piece by piece, so that a long one needs no memory. The same rows make the same bytes.
import Foundation
import Postgres
import Primitives

/// One payment of the file.
struct Payment: Sendable {
    let endToEndID: String
    let amount: Money
    let creditor: BankAccount
}

struct PaymentFile: Sendable {
    static let namespace = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"

    private let head: PaymentFileHead

    init(_ head: PaymentFileHead) {
        self.head = head
    }

    /// Group header and the beginning of the one payment information block, up to its first payment.
    var beginning: [UInt8] {
        var out = XMLText()
        out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"\(Self.namespace)\">\n<CstmrCdtTrfInitn>\n<GrpHdr>")
        out.element("MsgId", head.reference)
        out.element("CreDtTm", head.createdAt)
        totals(&out)
        out.group("InitgPty") { $0.element("Nm", head.debtorName.text) }
        out.raw("</GrpHdr>\n<PmtInf>")
        out.element("PmtInfId", head.reference)
        out.element("PmtMtd", "TRF")
        totals(&out)
        out.group("PmtTpInf") { type in
            // The scheme is one of payments in euro; elsewhere the bank and the city agree on a service.
            if head.controlSum.currency == .eur { type.group("SvcLvl") { $0.element("Cd", "SEPA") } } else { type.element("InstrPrty", "NORM") }
        }
        out.group("ReqdExctnDt") { $0.element("Dt", head.executeOn.description) }
        out.group("Dbtr") { debtor in
            debtor.element("Nm", head.debtorName.text)
            debtor.group("PstlAdr") {
                $0.element("TwnNm", head.debtorTown.text)
                $0.element("Ctry", head.debtorCountry)
            }
        }
        out.group("DbtrAcct") { $0.group("Id") { $0.element("IBAN", head.debtorIBAN.text) } }
        out.group("DbtrAgt") { agent in
            agent.group("FinInstnId") { institution in
                // EPC132-08: without a BIC this word stands in its place.
                if let bic = head.debtorBIC { institution.element("BICFI", bic) } else { institution.group("Othr") { $0.element("Id", "NOTPROVIDED") } }
            }
        }
        out.element("ChrgBr", "SLEV")
        out.raw("\n")
        return out.bytes
    }

    private func totals(_ out: inout XMLText) {
        out.element("NbOfTxs", String(head.count))
        out.element("CtrlSum", head.controlSum.decimal)
    }

    func append(_ payment: Payment, to bytes: inout [UInt8]) {
        var out = XMLText(bytes: bytes)
        bytes = []
        out.raw("<CdtTrfTxInf>")
        out.group("PmtId") { $0.element("EndToEndId", payment.endToEndID) }
        out.group("Amt") { $0.element("InstdAmt", payment.amount.decimal, attributes: " Ccy=\"\(payment.amount.currency.code)\"") }
        out.group("Cdtr") { creditor in
            creditor.element("Nm", payment.creditor.holder.text)
            creditor.group("PstlAdr") { address in
                if let street = payment.creditor.street { address.element("StrtNm", street.text) }
                if let postcode = payment.creditor.postcode { address.element("PstCd", postcode.text) }
                address.element("TwnNm", payment.creditor.town.text)
                address.element("Ctry", payment.creditor.country)
            }
        }
        out.group("CdtrAcct") { $0.group("Id") { $0.element("IBAN", payment.creditor.iban.text) } }
        out.group("RmtInf") { $0.element("Ustrd", payment.endToEndID) }
        out.raw("</CdtTrfTxInf>\n")
        bytes = out.bytes
    }

    static let end = Array("</PmtInf>\n</CstmrCdtTrfInitn>\n</Document>\n".utf8)
}

/// Text of elements. Whatever comes here is of the characters of ``SEPAText``, a number, a code or a date: nothing that XML would have to escape.
private struct XMLText {
    private(set) var bytes: [UInt8]

    init(bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func element(_ name: String, _ value: String, attributes: String = "") {
        precondition(!value.utf8.contains { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") }, "plain texts need no escaping")
        raw("<\(name)\(attributes)>")
        raw(value)
        raw("</\(name)>")
    }

    mutating func group(_ name: String, _ content: (inout XMLText) -> Void) {
        raw("<\(name)>")
        content(&self)
        raw("</\(name)>")
    }
}
