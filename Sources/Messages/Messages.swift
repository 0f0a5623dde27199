// What the city writes to a resident. Other slices send through this face, in the transaction that gives the occasion.
import Foundation
public import Postgres
public import Primitives
public import Web

public enum MessageTag {}
public typealias MessageID = ID<MessageTag>

/// What a message is about. Its words are `messages.kind.<raw value>` in every catalogue, with the parameters filled in.
public enum MessageKind: String, Sendable, CaseIterable {
    case welcome
    case identityProven = "identity_proven"
    case codeChanged = "code_changed"
    case consentOnPaper = "consent_on_paper"
    case correctionReceived = "correction_received"
    case correctionAccepted = "correction_accepted"
    case correctionDeclined = "correction_declined"
    case questionReceived = "question_received"
    case questionAnswered = "question_answered"
    // Written by triggers, with the rows that they are about (migrations/0022).
    case glassBroken = "glass_broken"
    case glassReviewed = "glass_reviewed"
    case recordProtected = "record_protected"
    case protectionLifted = "protection_lifted"
    // Likewise (migrations/0023): to the guardian, and to the child.
    case guardianshipEntered = "guardianship_entered"
    case guardianshipEnded = "guardianship_ended"
    case guardianEntered = "guardian_entered"
    case guardianEnded = "guardian_ended"
    case paymentReceived = "payment_received"
    case billPaid = "bill_paid"
    case transferReceived = "transfer_received"
    case cashReceived = "cash_received"
    case billWaived = "bill_waived"
    case billDueSoon = "bill_due_soon"
    case billOverdue = "bill_overdue"
    case billOverpaid = "bill_overpaid"
    // Written by the functions that change how a resident signs in (migrations/0030, 0031).
    case appAdded = "app_added"
    case passkeyAdded = "passkey_added"
    case codeSheetMade = "code_sheet_made"
    case recoveryCodesMade = "recovery_codes_made"
    case recoveryCodeUsed = "recovery_code_used"
    case recoveryLetterAsked = "recovery_letter_asked"
    case recoveryLetterUsed = "recovery_letter_used"
    case recoveryLetterCancelled = "recovery_letter_cancelled"
    case factorRemoved = "factor_removed"
    case passwordChanged = "password_changed"
    case recoveryRequested = "recovery_requested"
    case recoveryStopped = "recovery_stopped"
    case recoveryUsed = "recovery_used"
    // Written by the functions of mandates (migrations/0034): to the helper, and to the resident.
    case mandateOffered = "mandate_offered"
    case mandateWithdrawn = "mandate_withdrawn"
    case mandateGranted = "mandate_granted"
    case mandateAccepted = "mandate_accepted"
    case mandateDeclined = "mandate_declined"
    case mandateGivenUp = "mandate_given_up"
    case payoutAccountGiven = "payout_account_given"
    // Written by payouts.apply_report, with what it is about (migrations/0035).
    case payoutFailed = "payout_failed"
    case disputeReceived = "dispute_received"
    case disputeReply = "dispute_reply"
    // Written by disputes.escalate (migrations/0036).
    case disputeLate = "dispute_late"
    case disputeDecided = "dispute_decided"
    case disputeRefunded = "dispute_refunded"

    /// Where there is something to look at, and the key of that page's name.
    var page: (path: String, textKey: String)? {
        switch self {
        case .welcome, .recordProtected, .protectionLifted: nil
        case .guardianshipEntered, .guardianshipEnded, .guardianEntered, .guardianEnded: ("/children", "messages.see.children")
        case .identityProven, .codeChanged, .correctionReceived, .correctionAccepted, .correctionDeclined: ("/details", "messages.see.details")
        case .consentOnPaper: ("/consents", "messages.see.sharing")
        case .questionReceived, .questionAnswered, .glassBroken, .glassReviewed: ("/access-log", "messages.see.log")
        case .paymentReceived, .billOverpaid: ("/money", "messages.see.money")
        case .billPaid, .transferReceived, .cashReceived, .billWaived, .billDueSoon, .billOverdue: ("/bills", "messages.see.bills")
        case .appAdded, .passkeyAdded, .codeSheetMade, .recoveryCodesMade, .recoveryCodeUsed, .recoveryLetterAsked, .recoveryLetterUsed, .recoveryLetterCancelled, .factorRemoved, .passwordChanged,
            .recoveryRequested, .recoveryStopped, .recoveryUsed: ("/security", "messages.see.security")
        case .mandateOffered, .mandateWithdrawn, .mandateGranted, .mandateAccepted, .mandateDeclined, .mandateGivenUp: ("/mandates", "messages.see.mandates")
        case .payoutAccountGiven: ("/payout-account", "messages.see.payout_account")
        case .payoutFailed: ("/money-out", "messages.see.money_out")
        case .disputeReceived, .disputeReply, .disputeLate, .disputeDecided, .disputeRefunded: ("/disputes", "messages.see.disputes")
        }
    }
}

/// Sends messages to residents.
public enum Messages {
    /// Sends a message. Run it on the transaction of what it reports, so that neither exists without the other.
    /// - Parameter parameters: texts by placeholder. No personal data: that goes by letter or stands in the register.
    public static func send(
        _ kind: MessageKind, to resident: ResidentID, _ parameters: [String: String] = [:], on executor: some Executor
    ) async throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let json = JSONText(String(decoding: try encoder.encode(parameters), as: UTF8.self))
        try await executor.execute(
            """
            INSERT INTO messages.message (id, resident_id, kind, parameters)
            VALUES (\(MessageID.new().uuid), \(resident.uuid), \(kind.rawValue), \(json))
            """)
    }

    /// The newest messages of the resident whom the credential names.
    public static func newest(_ count: Int, of credential: CredentialHash, on database: Database) async throws -> [ReceivedMessage] {
        try await database.query(MessagesOf(credential: credential, before: nil, pageSize: count))
    }
}
