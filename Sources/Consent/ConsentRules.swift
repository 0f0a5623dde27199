// The rules of a switch, apart from everything that stores or shows it: a function from what is held and what happens to what
// must be done. consent.append (migrations/0007) holds the same rules under a lock and has the last word; a test drives both
// with the same random events.

/// Where one sharing stands.
public enum ConsentState: String, Sendable, CaseIterable, Hashable {
    case notGiven = "not_given"
    case given
    case withdrawn
    /// Given once, and void since: the city took it back, for instance when two records turned out to be one person.
    case invalidated

    /// Only this permits a read; whatever is added later denies until it is listed here.
    var permits: Bool { self == .given }
}

/// What the newest event left.
struct HeldConsent: Sendable, Hashable {
    var state: ConsentState
    /// What was agreed to, in the policy's order; empty unless given.
    var attributes: [String]
    /// The version of the text that was shown; nil before the first event.
    var policyVersion: Int?

    static let none = HeldConsent(state: .notGiven, attributes: [], policyVersion: nil)

    /// Whether an organisation may read these attributes for this purpose now, by consent alone.
    func permits(_ asked: [String], offered: [String]) -> Bool {
        state.permits && !asked.isEmpty && asked.allSatisfy { attributes.contains($0) && offered.contains($0) }
    }
}

/// What a policy version offers to agree to.
struct ConsentOffer: Sendable, Hashable {
    let legalBasis: LegalBasis
    let policyVersion: Int
    let attributes: [String]
}

/// Something that happens to a sharing.
enum ConsentEvent: Sendable, Hashable {
    /// The resident agrees to some attributes (nil: all that are offered), having read a version (nil: not said).
    case give(attributes: [String]?, readVersion: Int?)
    case withdraw(readVersion: Int?)
    /// The city declares a consent void.
    case invalidate
}

/// What is to be done.
enum ConsentAction: Sendable, Hashable {
    /// Append an event that leaves this.
    case record(HeldConsent)
    /// It is so already: asking twice changes nothing.
    case nothing
    case refuse(ConsentRefusal)
}

/// Why a switch cannot be moved like this.
enum ConsentRefusal: Sendable, Hashable {
    /// The law decides here, not a switch.
    case notConsent
    /// The text that was read is not today's.
    case policyChanged
    /// Nothing was named, or something that the policy does not offer.
    case attributesUnknown
}

enum ConsentRules {
    /// The state machine: not given → given ⇄ withdrawn, given → invalidated → given. Refusals come before "nothing to do",
    /// so that an app with an old text learns of it whatever it asked.
    static func action(for event: ConsentEvent, held: HeldConsent, offer: ConsentOffer) -> ConsentAction {
        guard offer.legalBasis == .consent else { return .refuse(.notConsent) }
        switch event {
        case .give(let asked, let readVersion):
            guard readVersion == nil || readVersion == offer.policyVersion else { return .refuse(.policyChanged) }
            guard let granted = granted(asked, of: offer.attributes) else { return .refuse(.attributesUnknown) }
            let result = HeldConsent(state: .given, attributes: granted, policyVersion: offer.policyVersion)
            return result == held ? .nothing : .record(result)
        case .withdraw(let readVersion):
            guard readVersion == nil || readVersion == offer.policyVersion else { return .refuse(.policyChanged) }
            return ending(.withdrawn, held: held, offer: offer)
        case .invalidate:
            return ending(.invalidated, held: held, offer: offer)
        }
    }

    /// Only what is given can end, so that the history tells of no withdrawal that changed nothing.
    private static func ending(_ state: ConsentState, held: HeldConsent, offer: ConsentOffer) -> ConsentAction {
        guard held.state == .given else { return .nothing }
        return .record(HeldConsent(state: state, attributes: [], policyVersion: offer.policyVersion))
    }

    /// What was asked for in the policy's own order, so that the same choice is always the same list; nil when it cannot be granted.
    private static func granted(_ asked: [String]?, of offered: [String]) -> [String]? {
        guard let asked else { return offered }
        guard !asked.isEmpty, asked.allSatisfy(offered.contains) else { return nil }
        return offered.filter(asked.contains)
    }

    /// How two policy versions differ in what they read: the new one's additions and what it no longer asks for.
    static func difference(from old: [String], to new: [String]) -> (added: [String], removed: [String]) {
        (new.filter { !old.contains($0) }, old.filter { !new.contains($0) })
    }
}
