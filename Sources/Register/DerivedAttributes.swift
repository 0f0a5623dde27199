// Yes or no in place of a value: attributes that are derived from what the city holds (`register.attribute.derived_from`). The door releases
// the sealed base; the answer is found here, and the base goes no further.
public import AccessLog
public import Foundation
import Postgres

extension Attribute {
    /// Whether the eighteenth birthday has come, by the city's day.
    public static let isOver18 = Attribute(rawValue: "is_over_18")
    /// Whether the town of the address is one of the city's.
    public static let livesInCity = Attribute(rawValue: "lives_in_city")

    /// From which attribute and by which rule this one is derived; nil for what the city holds.
    public var derivation: Derivation? { derivations[self] }
}

/// How a derived attribute is answered. The names are those of `register.attribute`.
public struct Derivation: Sendable, Hashable {
    public enum Rule: String, Sendable {
        case ageOf18Reached = "age_of_18_reached"
        case localityOfCity = "locality_of_city"
    }

    public let base: Attribute
    public let rule: Rule
}

private let derivations: [Attribute: Derivation] = [
    .isOver18: Derivation(base: .dateOfBirth, rule: .ageOf18Reached),
    .livesInCity: Derivation(base: .locality, rule: .localityOfCity),
]

/// What the rules need to know about the city.
public struct DerivationRules: Sendable {
    private let dayFormat: Date.ISO8601FormatStyle
    private let localities: Set<String>

    /// - Parameters:
    ///   - timeZone: whose midnight is the city's.
    ///   - localities: towns whose residents live in the city; empty: nobody can tell.
    public init(timeZone: TimeZone, localities: [String]) {
        dayFormat = Date.ISO8601FormatStyle(timeZone: timeZone).year().month().day()
        self.localities = Set(localities.map(Self.folded))
    }

    /// The answer for a base value at a moment; nil where the city cannot tell.
    public func answer(_ rule: Derivation.Rule, _ base: String?, at moment: Date) -> Bool? {
        guard let base else { return nil }
        switch rule {
        case .ageOf18Reached:
            guard let born = CalendarDay(base), let today = CalendarDay(moment.formatted(dayFormat)) else { return nil }
            return Self.age(of: born, on: today) >= 18
        case .localityOfCity:
            return localities.isEmpty ? nil : localities.contains(Self.folded(base))
        }
    }

    /// Completed years of life. Whoever was born on 29 February completes one at the end of 28 February where there is no 29th, and so
    /// reaches an age on 1 March (BGB § 187(2), § 188(2); in England the day after the last of February).
    static func age(of born: CalendarDay, on today: CalendarDay) -> Int {
        let hasHadBirthday = (today.month, today.day) >= (born.month, born.day)
        return today.year - born.year - (hasHadBirthday ? 0 : 1)
    }

    /// Towns are typed by people: case, accents composed or not, and spaces around do not make another town.
    private static func folded(_ town: String) -> String {
        town.trimmingCharacters(in: .whitespacesAndNewlines).precomposedStringWithCanonicalMapping.lowercased()
    }
}

extension ResidentVault {
    /// Opens what the door released and answers the derived attributes among those asked. Their bases are in the record only where they
    /// were asked for as well. Throws ``VaultError``.
    public func open(_ released: ReleasedRecord, deriving asked: [Attribute], by rules: DerivationRules) throws(VaultError) -> OpenedRecord {
        var record = try open(released)
        let derived = asked.filter { $0.derivation != nil }
        guard !derived.isEmpty else { return record }
        var bases = Dictionary(record.attributes.map { ($0.attribute, $0.value) }) { first, _ in first }
        for holding in released.holdings where !holding.bases.isEmpty {
            let key = try unwrap(holding.key)
            for sealed in holding.bases {
                let attribute = Attribute(rawValue: sealed.attribute)
                bases[attribute] = try open(sealed.sealedValue, as: attribute, of: holding.key.holderID, under: key)
            }
        }
        for attribute in derived {
            guard let derivation = attribute.derivation else { continue }
            record.answers[attribute] = rules.answer(derivation.rule, bases[derivation.base], at: released.at)
        }
        return record
    }
}
