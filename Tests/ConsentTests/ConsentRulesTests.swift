// The state machine of a switch, and its agreement with the database's function under random events.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Consent

private let offer = ConsentOffer(legalBasis: .consent, policyVersion: 3, attributes: ["street", "postcode", "locality"])
private let all = HeldConsent(state: .given, attributes: offer.attributes, policyVersion: 3)

@Suite("Consent rules")
struct ConsentRulesTests {
    @Test("Nothing is permitted before anybody agreed, nor after, whatever the state is called", arguments: ConsentState.allCases)
    func permits(_ state: ConsentState) {
        let held = HeldConsent(state: state, attributes: ["street"], policyVersion: 3)
        #expect(held.permits(["street"], offered: offer.attributes) == (state == .given))
        #expect(!held.permits([], offered: offer.attributes))
        #expect(!held.permits(["street", "postcode"], offered: offer.attributes))
        #expect(!held.permits(["street"], offered: ["postcode"]))
    }

    @Test("Agreeing without naming anything is agreeing to all that is offered")
    func givesAll() {
        #expect(ConsentRules.action(for: .give(attributes: nil, readVersion: 3), held: .none, offer: offer) == .record(all))
    }

    @Test("A choice is kept in the policy's order, so that the same choice is the same list")
    func givesPart() {
        let part = HeldConsent(state: .given, attributes: ["street", "locality"], policyVersion: 3)
        let event = ConsentEvent.give(attributes: ["locality", "street"], readVersion: nil)
        #expect(ConsentRules.action(for: event, held: .none, offer: offer) == .record(part))
        #expect(ConsentRules.action(for: event, held: part, offer: offer) == .nothing)
        #expect(ConsentRules.action(for: .give(attributes: nil, readVersion: 3), held: part, offer: offer) == .record(all))
    }

    @Test("What the policy does not offer cannot be agreed to, and neither can nothing")
    func refusesUnknown() {
        for asked in [["national_number"], ["street", "national_number"], []] {
            #expect(ConsentRules.action(for: .give(attributes: asked, readVersion: 3), held: .none, offer: offer) == .refuse(.attributesUnknown))
        }
    }

    @Test("Whoever read another version is told, before anything else is looked at")
    func refusesStale() {
        for event in [ConsentEvent.give(attributes: ["nonsense"], readVersion: 2), .withdraw(readVersion: 4)] {
            #expect(ConsentRules.action(for: event, held: all, offer: offer) == .refuse(.policyChanged))
        }
    }

    @Test("Only what is given can end; ending it again changes nothing")
    func withdraws() {
        let withdrawn = HeldConsent(state: .withdrawn, attributes: [], policyVersion: 3)
        #expect(ConsentRules.action(for: .withdraw(readVersion: nil), held: .none, offer: offer) == .nothing)
        #expect(ConsentRules.action(for: .withdraw(readVersion: nil), held: all, offer: offer) == .record(withdrawn))
        #expect(ConsentRules.action(for: .withdraw(readVersion: 3), held: withdrawn, offer: offer) == .nothing)
        #expect(ConsentRules.action(for: .invalidate, held: withdrawn, offer: offer) == .nothing)
        let void = HeldConsent(state: .invalidated, attributes: [], policyVersion: 3)
        #expect(ConsentRules.action(for: .invalidate, held: all, offer: offer) == .record(void))
        #expect(ConsentRules.action(for: .give(attributes: nil, readVersion: 3), held: void, offer: offer) == .record(all))
    }

    @Test("Where a law decides there is no switch", arguments: LegalBasis.allCases.filter { $0 != .consent })
    func lawful(_ basis: LegalBasis) {
        let lawful = ConsentOffer(legalBasis: basis, policyVersion: 1, attributes: ["street"])
        for event in [ConsentEvent.give(attributes: nil, readVersion: 1), .withdraw(readVersion: nil), .invalidate] {
            #expect(ConsentRules.action(for: event, held: .none, offer: lawful) == .refuse(.notConsent))
        }
    }

    @Test("A new version that asks for more is not covered by the agreement to the old one")
    func newVersion() {
        let newer = ConsentOffer(legalBasis: .consent, policyVersion: 4, attributes: ["street", "postcode", "locality", "phone"])
        #expect(!all.permits(["phone"], offered: newer.attributes))
        #expect(all.permits(["street"], offered: newer.attributes))
        guard case .record(let renewed) = ConsentRules.action(for: .give(attributes: nil, readVersion: 4), held: all, offer: newer) else {
            Issue.record("agreeing to a newer version is an event")
            return
        }
        #expect(renewed.policyVersion == 4)
        #expect(renewed.permits(["phone"], offered: newer.attributes))
    }
}

/// Random events, the same ones to the pure rules and to the database.
@Suite("Consent rules and the database agree")
struct ConsentAgreementTests {
    @Test("Twelve hundred random events leave both in the same state at every step", arguments: 0..<4)
    func agree(_ seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed) &* 0x9E37_79B9 &+ 1)
        let city = try await CityFixture.make()
        let organisation = try await city.organisation("clinic")
        let pool = ["street", "postcode", "locality", "phone", "email"]
        let activity = try await city.activity(organisation, "care", attributes: Array(pool[..<3]))
        let lawful = try await city.activity(organisation, "duty", attributes: ["street"], law: "Some Act § 1")
        let resident = try await city.resident()
        let sequence = Sequence(city: city, resident: resident)

        var offer = ConsentOffer(legalBasis: .consent, policyVersion: 1, attributes: activity.attributes)
        var held = HeldConsent.none
        var eventsRecorded = 0
        for step in 0..<300 {
            if Int.random(in: 0..<20, using: &random) == 0 {
                let attributes = pool.shuffled(using: &random).prefix(Int.random(in: 1...5, using: &random))
                offer = ConsentOffer(legalBasis: .consent, policyVersion: offer.policyVersion + 1, attributes: Array(attributes))
                try await city.publish(activity, version: offer.policyVersion, attributes: offer.attributes)
            }
            let event = randomEvent(pool + ["family_name"], version: offer.policyVersion, using: &random)
            let expected = ConsentRules.action(for: event, held: held, offer: offer)
            let answer = try await sequence.send(event, to: activity)
            #expect(answer == expected.word, "seed \(seed), step \(step): \(event) on \(held)")
            if case .record(let next) = expected {
                held = next
                eventsRecorded += 1
            }
            #expect(try await sequence.held(activity) == held, "seed \(seed), step \(step)")
            #expect(try await sequence.send(event, to: lawful) == "not_consent")
        }
        #expect(try await sequence.eventCount(activity) == eventsRecorded)
        #expect(eventsRecorded > 20)
    }

    private func randomEvent(_ pool: [String], version: Int, using random: inout SeededGenerator) -> ConsentEvent {
        let readVersion = [nil, version, version, version - 1].randomElement(using: &random) ?? nil
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return .withdraw(readVersion: readVersion)
        case 1: return .invalidate
        case 2: return .give(attributes: nil, readVersion: readVersion)
        default:
            let count = Int.random(in: 0...3, using: &random)
            return .give(attributes: Array(pool.shuffled(using: &random).prefix(count)), readVersion: readVersion)
        }
    }
}

/// Sends events to the database: the resident's own through the app's function, the city's as the owner.
private struct Sequence {
    let city: CityFixture
    let resident: FixtureResident

    func send(_ event: ConsentEvent, to activity: FixtureActivity) async throws -> String {
        let none: [String]? = nil
        switch event {
        case .give(let attributes, let version): return try await decide("given", attributes, version, activity)
        case .withdraw(let version): return try await decide("withdrawn", none, version, activity)
        case .invalidate:
            return try await city.owner.one(
                OneValue(
                    """
                    SELECT consent.append(\(UUID()), \(resident.id), \(activity.id), 'invalidated', NULL, NULL,
                        NULL, NULL, NULL, 'system', 'identity_linked', 'en', NULL)
                    """))
        }
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

    func eventCount(_ activity: FixtureActivity) async throws -> Int {
        Int(
            try await city.owner.one(
                OneValue("SELECT count(*) FROM consent.event WHERE resident_id = \(resident.id) AND activity_id = \(activity.id)", of: Int64.self)))
    }
}

extension ConsentAction {
    /// What the database calls it.
    fileprivate var word: String {
        switch self {
        case .record: "recorded"
        case .nothing: "unchanged"
        case .refuse(.notConsent): "not_consent"
        case .refuse(.policyChanged): "policy_changed"
        case .refuse(.attributesUnknown): "attributes_unknown"
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
