// The state machine of a switch, and its agreement with the database's function under random events.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Consent

/// 31 January, so that a month later is a shorter month.
private let now = Date(timeIntervalSince1970: 1_801_353_600)
private let day: TimeInterval = 86_400
private let offer = ConsentOffer(legalBasis: .consent, policyVersion: 3, attributes: ["street", "postcode", "locality"])
private let yearly = ConsentOffer(legalBasis: .consent, policyVersion: 3, attributes: offer.attributes, validMonths: 12)
private let all = HeldConsent(state: .given, attributes: offer.attributes, policyVersion: 3, since: now)

/// An event at `now`, on the offer without an end unless another is named.
private func action(_ event: ConsentEvent, _ held: HeldConsent, _ offer: ConsentOffer = offer, at moment: Date = now) -> ConsentAction {
    ConsentRules.action(for: event, held: held, offer: offer, at: moment)
}

private func closed(_ state: ConsentState, until end: Date? = nil) -> HeldConsent {
    HeldConsent(state: state, attributes: [], policyVersion: 3, since: now, validUntil: end)
}

@Suite("Consent rules")
struct ConsentRulesTests {
    @Test("Only what is given or renewed permits, whatever else the state is called", arguments: ConsentState.allCases)
    func permits(_ state: ConsentState) {
        let held = HeldConsent(state: state, attributes: ["street"], policyVersion: 3)
        #expect(held.permits(["street"], offered: offer.attributes) == (state == .given || state == .renewed))
        #expect(!held.permits([], offered: offer.attributes))
        #expect(!held.permits(["street", "postcode"], offered: offer.attributes))
        #expect(!held.permits(["street"], offered: ["postcode"]))
    }

    @Test("Agreeing without naming anything is agreeing to all that is offered")
    func givesAll() {
        #expect(action(.give(attributes: nil, readVersion: 3), .none) == .record(all))
    }

    @Test("A choice is kept in the policy's order, so that the same choice is the same list")
    func givesPart() {
        let part = HeldConsent(state: .given, attributes: ["street", "locality"], policyVersion: 3, since: now)
        let event = ConsentEvent.give(attributes: ["locality", "street"], readVersion: nil)
        #expect(action(event, .none) == .record(part))
        #expect(action(event, part) == .nothing)
        #expect(action(.give(attributes: nil, readVersion: 3), part) == .record(all))
    }

    @Test("What the policy does not offer cannot be agreed to or asked for, and neither can nothing")
    func refusesUnknown() {
        for asked in [["national_number"], ["street", "national_number"], []] {
            #expect(action(.give(attributes: asked, readVersion: 3), .none) == .refuse(.attributesUnknown))
            #expect(action(.request(attributes: asked), .none) == .refuse(.attributesUnknown))
        }
    }

    @Test("Whoever read another version is told, before anything else is looked at")
    func refusesStale() {
        for event in [ConsentEvent.give(attributes: ["nonsense"], readVersion: 2), .withdraw(readVersion: 4), .renew(readVersion: 2)] {
            #expect(action(event, all) == .refuse(.policyChanged))
        }
    }

    @Test("Only what is given can end; ending it again changes nothing")
    func withdraws() {
        #expect(action(.withdraw(readVersion: nil), .none) == .nothing)
        #expect(action(.withdraw(readVersion: nil), all) == .record(closed(.withdrawn)))
        #expect(action(.withdraw(readVersion: 3), closed(.withdrawn)) == .nothing)
        #expect(action(.invalidate, closed(.withdrawn)) == .nothing)
        #expect(action(.invalidate, all) == .record(closed(.invalidated)))
        #expect(action(.give(attributes: nil, readVersion: 3), closed(.invalidated)) == .record(all))
    }

    @Test("Where a law decides there is no switch", arguments: LegalBasis.allCases.filter { $0 != .consent })
    func lawful(_ basis: LegalBasis) {
        let lawful = ConsentOffer(legalBasis: basis, policyVersion: 1, attributes: ["street"])
        for event in [ConsentEvent.give(attributes: nil, readVersion: 1), .withdraw(readVersion: nil), .invalidate, .request(attributes: nil), .refuse] {
            #expect(action(event, .none, lawful) == .refuse(.notConsent))
        }
    }

    @Test("A new version that asks for more is not covered by the agreement to the old one, and the old one is not renewed")
    func newVersion() {
        let newer = ConsentOffer(legalBasis: .consent, policyVersion: 4, attributes: ["street", "postcode", "locality", "phone"])
        #expect(!all.permits(["phone"], offered: newer.attributes))
        #expect(all.permits(["street"], offered: newer.attributes))
        #expect(action(.renew(readVersion: 4), all, newer) == .refuse(.policyChanged))
        guard case .record(let anew) = action(.give(attributes: nil, readVersion: 4), all, newer) else {
            Issue.record("agreeing to a newer version is an event")
            return
        }
        #expect(anew.policyVersion == 4)
        #expect(anew.permits(["phone"], offered: newer.attributes))
    }

    @Test("An agreement with an end counts until the very instant, in the last month's last day where a month is shorter")
    func ends() throws {
        let monthly = ConsentOffer(legalBasis: .consent, policyVersion: 3, attributes: ["street"], validMonths: 1)
        guard case .record(let given) = action(.give(attributes: nil, readVersion: nil), .none, monthly) else {
            Issue.record("agreeing is an event")
            return
        }
        // 28 February 2027.
        let end = now + 28 * day
        #expect(given.validUntil == end)
        #expect(given.at(end - 0.001) == given)
        #expect(given.at(end).state == .expired)
        #expect(given.at(end).since == end)
        #expect(!given.at(end).permits(["street"], offered: ["street"]))
        #expect(action(.expire, given, monthly, at: end - 0.001) == .nothing)
        #expect(action(.expire, given, monthly, at: end) == .record(given.at(end)))
        // What is over cannot be withdrawn any more.
        #expect(action(.withdraw(readVersion: nil), given, monthly, at: end) == .nothing)
        #expect(action(.expire, given.at(end), monthly, at: end + day) == .nothing)
    }

    @Test("A renewal prolongs the very same agreement, also one that is over, and nothing else")
    func renews() {
        let former = HeldConsent(state: .given, attributes: ["street"], policyVersion: 3, since: now - 350 * day, validUntil: now + 15 * day)
        let renewed = HeldConsent(state: .renewed, attributes: ["street"], policyVersion: 3, since: now, validUntil: now + 365 * day)
        #expect(action(.renew(readVersion: 3), former, yearly) == .record(renewed))
        // Sent twice it is one renewal.
        #expect(action(.renew(readVersion: 3), renewed, yearly, at: now + 60) == .nothing)
        #expect(action(.renew(readVersion: 3), former.at(now + 15 * day), yearly) == .record(renewed))
        #expect(action(.give(attributes: ["street"], readVersion: 3), renewed, yearly) == .nothing)
        #expect(action(.renew(readVersion: 3), all, offer) == .nothing)
        for held in [HeldConsent.none, closed(.withdrawn), closed(.invalidated), closed(.refused), closed(.requested, until: now + day), closed(.expired)] {
            #expect(action(.renew(readVersion: 3), held, yearly) == .refuse(.notRenewable))
        }
    }

    @Test("A request waits thirty days, permits nothing, and is not made beside another or beside what is shared")
    func requests() {
        let requested = closed(.requested, until: now + 30 * day)
        #expect(action(.request(attributes: ["street"]), .none) == .record(requested))
        #expect(action(.request(attributes: nil), requested) == .refuse(.alreadyRequested))
        #expect(action(.request(attributes: nil), all) == .refuse(.inForce))
        #expect(action(.withdraw(readVersion: nil), requested) == .nothing)
        #expect(action(.give(attributes: nil, readVersion: 3), requested) == .record(all))
        // Nobody answered: from the instant on it can be asked again.
        #expect(action(.request(attributes: nil), requested, at: now + 30 * day - 0.001) == .refuse(.alreadyRequested))
        #expect(requested.at(now + 30 * day) == HeldConsent(state: .expired, attributes: [], policyVersion: 3, since: now + 30 * day, validUntil: now + 30 * day))
        guard case .record = action(.request(attributes: nil), requested, at: now + 30 * day) else {
            Issue.record("what nobody answered can be asked again")
            return
        }
    }

    @Test("A no keeps the same away for ninety days, as does a withdrawal", arguments: [ConsentState.refused, .withdrawn])
    func quiet(_ state: ConsentState) {
        let held = closed(state)
        #expect(action(.request(attributes: nil), held, at: now + 90 * day - 0.001) == .refuse(.refusedRecently))
        guard case .record = action(.request(attributes: nil), held, at: now + 90 * day) else {
            Issue.record("after ninety days it can be asked again")
            return
        }
    }

    @Test("Refusing, putting off and taking back need a request that waits; each counts once")
    func answers() {
        let requested = closed(.requested, until: now + 30 * day)
        #expect(action(.refuse, requested) == .record(closed(.refused)))
        #expect(action(.refuse, closed(.refused)) == .nothing)
        let deferred = closed(.deferred, until: now + 30 * day)
        #expect(action(.postpone, requested) == .record(deferred))
        #expect(action(.postpone, deferred, at: now + 7 * day - 0.001) == .nothing)
        #expect(
            action(.postpone, deferred, at: now + 7 * day)
                == .record(HeldConsent(state: .deferred, attributes: [], policyVersion: 3, since: now + 7 * day, validUntil: now + 30 * day)))
        #expect(action(.retract, deferred) == .record(closed(.withdrawn)))
        for held in [HeldConsent.none, all, requested.at(now + 30 * day)] {
            #expect(action(.postpone, held) == .refuse(.noRequest))
            #expect(action(.refuse, held) == .refuse(.noRequest))
            #expect(action(.retract, held) == .refuse(.noRequest))
        }
    }
}

/// Random events, the same ones to the pure rules and to the database.
@Suite("Consent rules and the database agree")
struct ConsentAgreementTests {
    @Test("Twelve hundred random events at random times leave both in the same state at every step", arguments: 0..<4)
    func agree(_ seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed) &* 0x9E37_79B9 &+ 1)
        let city = try await CityFixture.make()
        let organisation = try await city.organisation("clinic")
        let pool = ["street", "postcode", "locality", "phone", "email"]
        let activity = try await city.activity(organisation, "care", attributes: Array(pool[..<3]), validMonths: 1)
        let lawful = try await city.activity(organisation, "duty", attributes: ["street"], law: "Some Act § 1")
        let resident = try await city.resident()
        try await city.owner.execute("UPDATE web.credential SET expires_at = 'infinity', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
        let sequence = Sequence(city: city, resident: resident)

        var offer = ConsentOffer(legalBasis: .consent, policyVersion: 1, attributes: activity.attributes, validMonths: 1)
        var held = HeldConsent.none
        var moment = now
        var left: Set<ConsentState> = []
        // Mostly little, sometimes past the end of something.
        let days: [TimeInterval] = [0, 0.125, 0.5, 1, 8, 31, 91]
        for step in 0..<300 {
            moment += days.randomElement(using: &random).map { $0 * day } ?? 0
            try await city.stopClock(at: moment)
            if Int.random(in: 0..<20, using: &random) == 0 {
                let attributes = pool.shuffled(using: &random).prefix(Int.random(in: 1...5, using: &random))
                offer = ConsentOffer(
                    legalBasis: .consent, policyVersion: offer.policyVersion + 1, attributes: Array(attributes),
                    validMonths: [nil, 1, 2, 12].randomElement(using: &random) ?? nil)
                try await city.publish(activity, version: offer.policyVersion, attributes: offer.attributes, validMonths: offer.validMonths)
            }
            let event = randomEvent(pool + ["family_name"], version: offer.policyVersion, using: &random)
            let expected = ConsentRules.action(for: event, held: held, offer: offer, at: moment)
            let answer = try await sequence.send(event, to: activity)
            // What is over is written down with the next event of any kind, unless that was refused for what it says.
            if event != .expire, expected != .refuse(.attributesUnknown), event.readVersionIs(nil, or: offer.policyVersion) { held = held.at(moment) }
            #expect(answer == expected.word, "seed \(seed), step \(step): \(event) on \(held)")
            if case .record(let next) = expected {
                held = next
                left.insert(next.state)
            }
            #expect(try await sequence.held(activity) == held.at(moment), "seed \(seed), step \(step)")
            if event != .expire { #expect(try await sequence.send(event, to: lawful) == "not_consent") }
        }
        #expect(left == Set(ConsentState.allCases).subtracting([.notGiven, .agreed]), "every state was reached")
        #expect(try await city.owner.query(OneValue("SELECT finding FROM consent.verify_chains()", of: String.self)).isEmpty)
    }

    private func randomEvent(_ pool: [String], version: Int, using random: inout SeededGenerator) -> ConsentEvent {
        let readVersion = [nil, version, version, version - 1].randomElement(using: &random) ?? nil
        let some = Array(pool.shuffled(using: &random).prefix(Int.random(in: 0...3, using: &random)))
        switch Int.random(in: 0..<12, using: &random) {
        case 0: return .withdraw(readVersion: readVersion)
        case 1: return .invalidate
        case 2: return .give(attributes: nil, readVersion: readVersion)
        case 3: return .renew(readVersion: readVersion)
        case 4: return .request(attributes: nil)
        case 5: return .request(attributes: some)
        case 6: return .retract
        case 7: return .refuse
        case 8: return .postpone
        case 9: return .expire
        default: return .give(attributes: some, readVersion: readVersion)
        }
    }
}

/// Sends events to the database: the resident's own switch through the app's function, everything else as the owner.
private struct Sequence {
    let city: CityFixture
    let resident: FixtureResident

    func send(_ event: ConsentEvent, to activity: FixtureActivity) async throws -> String {
        let none: [String]? = nil
        switch event {
        case .give(let attributes, let version): return try await decide("given", attributes, version, activity)
        case .renew(let version): return try await decide("renewed", none, version, activity)
        case .withdraw(let version): return try await decide("withdrawn", none, version, activity)
        case .invalidate: return try await append("invalidated", none, activity, by: "'system', 'identity_linked'")
        case .request(let attributes): return try await append("requested", attributes, activity, client: "clinic", by: "'organisation', 'exchange'")
        case .retract: return try await append("withdrawn", none, activity, client: "clinic", by: "'organisation', 'exchange'")
        case .refuse: return try await append("refused", none, activity, account: resident.accountID, by: "'self', 'page'")
        case .postpone: return try await append("deferred", none, activity, account: resident.accountID, by: "'self', 'page'")
        case .expire:
            let recorded = try await city.app.one(OneValue("SELECT consent.record_expiries(10)", of: Int32.self))
            return recorded == 0 ? "unchanged" : "recorded"
        }
    }

    private func append(
        _ kind: String, _ attributes: [String]?, _ activity: FixtureActivity, account: AccountID? = nil, client: String? = nil, by actor: String
    ) async throws -> String {
        try await city.owner.one(
            OneValue(
                """
                SELECT consent.append(\(UUID()), \(resident.id), \(activity.id), \(kind), \(attributes as [String]?), NULL,
                    \(account as AccountID?), NULL, \(client as String?), \(unsafeRaw: actor), 'en', NULL)
                """))
    }

    private func decide(_ kind: String, _ attributes: [String]?, _ version: Int?, _ activity: FixtureActivity) async throws -> String {
        try await city.app.one(
            OneValue(
                """
                SELECT consent.decide(\(resident.session.hash.bytes), \(UUID()), \(activity.id), \(kind), \(attributes as [String]?),
                    \(version.map { Int32($0) } as Int32?), 'fr')
                """))
    }

    func held(_ activity: FixtureActivity) async throws -> HeldConsent {
        let sharing = try await city.app.one(Sharings(credential: resident.session.hash, activity: ActivityID(activity.id)))
        return sharing.held
    }
}

extension ConsentEvent {
    /// Whether it was made with this version or without saying.
    fileprivate func readVersionIs(_ first: Int?, or second: Int) -> Bool {
        switch self {
        case .give(_, let version), .renew(let version), .withdraw(let version): version == first || version == second
        case .invalidate, .request, .retract, .refuse, .postpone, .expire: true
        }
    }
}

extension ConsentAction {
    /// What the database calls it.
    fileprivate var word: String {
        switch self {
        case .record: "recorded"
        case .nothing: "unchanged"
        case .refuse(let refusal): refusal.rawValue
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): a failing seed fails again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
