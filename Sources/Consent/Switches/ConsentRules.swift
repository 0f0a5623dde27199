// The rules of a switch, apart from everything that stores or shows it: a function from what is held, what happens and when, to what
// must be done. consent.append (migrations/0007) holds the same rules under a lock and has the last word; a test drives both
// with the same random events.
import Foundation

/// Where one sharing stands.
public enum ConsentState: String, Sendable, CaseIterable, Hashable {
    case notGiven = "not_given"
    /// An organisation asks, and waits for an answer.
    case requested
    /// The resident wants to be asked later.
    case deferred
    case refused
    /// Some who must agree have, others not yet: of a child (Guardians.swift).
    case agreed
    case given
    /// Given before, and prolonged by the resident.
    case renewed
    /// The time that an agreement or a request had is over.
    case expired
    case withdrawn
    /// Given once, and void since: the city took it back, for instance when two records turned out to be one person.
    case invalidated

    /// Only these permit a read; whatever is added later denies until it is listed here.
    var permits: Bool { self == .given || self == .renewed }

    /// A request that waits.
    var isOpenRequest: Bool { self == .requested || self == .deferred }
}

/// What the newest event left.
struct HeldConsent: Sendable, Hashable {
    var state: ConsentState
    /// What is agreed to, or was until it expired, in the policy's order.
    var attributes: [String]
    /// The version of the text that was shown; nil before the first event.
    var policyVersion: Int?
    var since: Date?
    /// The first instant at which it does not count any more; nil for what has no end.
    var validUntil: Date?

    static let none = HeldConsent(state: .notGiven, attributes: [], policyVersion: nil)

    /// Whether an organisation may read these attributes for this purpose, by consent alone. Time must have been looked at (`at(_:)`).
    func permits(_ asked: [String], offered: [String]) -> Bool {
        state.permits && !asked.isEmpty && asked.allSatisfy { attributes.contains($0) && offered.contains($0) }
    }

    /// How it stands at a moment: what has an end is expired from that instant on.
    func at(_ moment: Date) -> HeldConsent {
        guard let validUntil, validUntil <= moment, state.permits || state.isOpenRequest || state == .agreed else { return self }
        // What others did not agree to in time was never shared.
        return HeldConsent(state: .expired, attributes: state == .agreed ? [] : attributes, policyVersion: policyVersion, since: validUntil, validUntil: validUntil)
    }

    /// Whether its resident can prolong it: agreed to, or run out, to the very text that stands today. What has run out and has no term ended with a birthday.
    func isRenewable(_ offer: ConsentOffer) -> Bool {
        (state == .expired || (state.permits && offer.validMonths != nil)) && !attributes.isEmpty && policyVersion == offer.policyVersion
    }
}

/// What a policy version offers to agree to.
struct ConsentOffer: Sendable, Hashable {
    let legalBasis: LegalBasis
    let policyVersion: Int
    let attributes: [String]
    /// For how long an agreement lasts; nil: until it is withdrawn.
    var validMonths: Int?

    /// When an agreement of this moment ends: the same day of a later month, or its last one, in UTC.
    fileprivate func end(from moment: Date) -> Date? {
        guard let validMonths else { return nil }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        return calendar.date(byAdding: .month, value: validMonths, to: moment)
    }
}

/// Something that happens to a sharing.
enum ConsentEvent: Sendable, Hashable {
    /// The resident agrees to some attributes (nil: all that are offered), having read a version (nil: not said).
    case give(attributes: [String]?, readVersion: Int?)
    /// The resident prolongs an agreement.
    case renew(readVersion: Int?)
    case withdraw(readVersion: Int?)
    /// The city declares a consent void.
    case invalidate
    /// An organisation asks for some attributes (nil: all that are offered).
    case request(attributes: [String]?)
    /// The organisation takes its request back.
    case retract
    /// The resident says no to a request.
    case refuse
    /// The resident wants to be asked later.
    case postpone
    /// The city writes down that the time is over.
    case expire

    fileprivate var readVersion: Int? {
        switch self {
        case .give(_, let version), .renew(let version), .withdraw(let version): version
        case .invalidate, .request, .retract, .refuse, .postpone, .expire: nil
        }
    }
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
enum ConsentRefusal: String, Sendable, Hashable {
    /// The law decides here, not a switch.
    case notConsent = "not_consent"
    /// The text that was read, or agreed to, is not today's.
    case policyChanged = "policy_changed"
    /// Nothing was named, or something that the policy does not offer.
    case attributesUnknown = "attributes_unknown"
    /// Nothing was agreed to that could be prolonged.
    case notRenewable = "not_renewable"
    /// The resident shares already; which data is for the resident to choose.
    case inForce = "in_force"
    case alreadyRequested = "already_requested"
    /// The resident said no a short while ago.
    case refusedRecently = "refused_recently"
    /// No request waits.
    case noRequest = "no_request"
}

enum ConsentRules {
    private static let dayInSeconds: TimeInterval = 86_400
    /// For how long a request waits for its answer (consent.request_lifetime).
    static let requestLifetime = 30 * dayInSeconds
    /// For how long the same may not be asked again after a no (consent.quiet_period).
    static let quietPeriod = 90 * dayInSeconds
    /// For how long "ask me later" keeps a request away (consent.deferral).
    static let deferral = 7 * dayInSeconds
    /// A renewal moves the end by at least this, so that a form sent twice renews once.
    static let renewalStep = dayInSeconds
    /// For how long before the end of an agreement the home page asks whether to renew it: somebody who looks once a month sees it.
    static let reminderPeriod = 30 * dayInSeconds

    /// The state machine. Refusals about what was sent come before those about how it stands and before "nothing to do", so that an
    /// app with an old text learns of it whatever it asked.
    static func action(for event: ConsentEvent, held stored: HeldConsent, offer: ConsentOffer, at now: Date) -> ConsentAction {
        guard offer.legalBasis == .consent else { return .refuse(.notConsent) }
        guard event.readVersion == nil || event.readVersion == offer.policyVersion else { return .refuse(.policyChanged) }
        let held = stored.at(now)
        let closed = { (state: ConsentState) in HeldConsent(state: state, attributes: [], policyVersion: offer.policyVersion, since: now) }
        switch event {
        case .give(let asked, _):
            guard let granted = granted(asked, of: offer.attributes) else { return .refuse(.attributesUnknown) }
            if held.state.permits, held.attributes == granted, held.policyVersion == offer.policyVersion { return .nothing }
            return .record(
                HeldConsent(
                    state: .given, attributes: granted, policyVersion: offer.policyVersion, since: now, validUntil: offer.end(from: now)))
        case .renew: return renewal(of: held, offer: offer, at: now)
        // Only what is given can end, so that the history tells of no withdrawal that changed nothing.
        case .withdraw: return held.state.permits ? .record(closed(.withdrawn)) : .nothing
        case .invalidate: return held.state.permits ? .record(closed(.invalidated)) : .nothing
        case .request(let asked): return request(asked, held: held, offer: offer, at: now)
        case .retract: return held.state.isOpenRequest ? .record(closed(.withdrawn)) : .refuse(.noRequest)
        case .refuse:
            if held.state == .refused { return .nothing }
            return held.state.isOpenRequest ? .record(closed(.refused)) : .refuse(.noRequest)
        case .postpone:
            guard held.state.isOpenRequest else { return .refuse(.noRequest) }
            if held.state == .deferred, isWithin(deferral, of: held.since, at: now) { return .nothing }
            var deferred = closed(.deferred)
            deferred.validUntil = held.validUntil
            return .record(deferred)
        case .expire: return held == stored ? .nothing : .record(held)
        }
    }

    private static func renewal(of held: HeldConsent, offer: ConsentOffer, at now: Date) -> ConsentAction {
        guard held.state.permits || held.state == .expired, !held.attributes.isEmpty else { return .refuse(.notRenewable) }
        guard held.policyVersion == offer.policyVersion else { return .refuse(.policyChanged) }
        let end = offer.end(from: now)
        // What has no end cannot be prolonged.
        if held.state.permits {
            guard let end, let former = held.validUntil, end.timeIntervalSince(former) >= renewalStep else { return .nothing }
        }
        return .record(HeldConsent(state: .renewed, attributes: held.attributes, policyVersion: held.policyVersion, since: now, validUntil: end))
    }

    private static func request(_ asked: [String]?, held: HeldConsent, offer: ConsentOffer, at now: Date) -> ConsentAction {
        guard granted(asked, of: offer.attributes) != nil else { return .refuse(.attributesUnknown) }
        if held.state.permits { return .refuse(.inForce) }
        if held.state.isOpenRequest { return .refuse(.alreadyRequested) }
        if held.state == .refused || held.state == .withdrawn, isWithin(quietPeriod, of: held.since, at: now) { return .refuse(.refusedRecently) }
        return .record(
            HeldConsent(
                state: .requested, attributes: [], policyVersion: offer.policyVersion, since: now, validUntil: now.addingTimeInterval(requestLifetime)))
    }

    private static func isWithin(_ period: TimeInterval, of moment: Date?, at now: Date) -> Bool {
        moment.map { $0.addingTimeInterval(period) > now } ?? false
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
