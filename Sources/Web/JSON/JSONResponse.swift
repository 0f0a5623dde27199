// Last step of the JSON face: a body out of Codable views or of a value tree, and the one shape that lists have.
public import Foundation
import HTTPTypes
public import Hummingbird
import NIOCore
import Postgres

/// A page of a list: `{"items": […], "next_cursor": "…" | null}`.
public struct CursorList<Item: Encodable & Sendable>: Encodable, Sendable {
    public let items: [Item]
    /// Goes back as `?cursor=…` for what follows; null at the end.
    public let nextCursor: String?

    public init(items: [Item], nextCursor: String?) {
        self.items = items
        self.nextCursor = nextCursor
    }

    private enum CodingKeys: CodingKey {
        case items, nextCursor
    }

    /// Writes the cursor also when it is null, so that clients find it in every answer.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}

/// Shared, because making an encoder costs more than using it. Members come in the order of their names.
private let encoder: JSONEncoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Properties become snake_case; the keys of dictionaries stay as they are, for they are data.
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .custom { date, encoder in
        var container = encoder.singleValueContainer()
        try container.encode(RFC3339.text(date))
    }
    return encoder
}()

extension JSONValue {
    /// A Codable view as an answer writes it.
    public init(encoding body: some Encodable) throws {
        self = try JSONScanner.scan(Array(encoder.encode(body)))
    }
}

extension Response {
    /// A JSON answer from a Codable view. Dates become RFC 3339 in UTC.
    public static func json(_ body: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) throws -> Response {
        try json(bytes: encoder.encode(body), status: status, headers: headers)
    }

    /// A JSON answer from a value tree, whose members keep their order; the cheaper of the two.
    public static func json(_ body: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        json(bytes: body.serialised(), status: status, headers: headers)
    }

    /// A page of a list out of value trees, in the shape of ``CursorList``.
    public static func list(_ items: [JSONValue], next: String? = nil) -> Response {
        json(["items": .array(items), "next_cursor": next.map { .string($0) } ?? .null])
    }

    private static func json(bytes: some Sequence<UInt8>, status: HTTPResponse.Status, headers: HTTPFields) -> Response {
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

/// Moments as RFC 3339 §5.6 writes them: `2026-11-21T04:39:00.123Z`.
public enum RFC3339 {
    /// In UTC, to the millisecond.
    public static func text(_ date: Date) -> String {
        let milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded())
        let (seconds, fraction) = (milliseconds.quotientFloored(by: 1000), milliseconds.remainderFloored(by: 1000))
        let (dayNumber, secondOfDay) = (seconds.quotientFloored(by: 86_400), seconds.remainderFloored(by: 86_400))
        let (year, month, day) = CityTime.civil(fromDayNumber: Int(dayNumber))
        // Digit by digit, because the request log writes one for every request.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        func add(_ number: Int, _ largestDivisor: Int, then separator: Unicode.Scalar) {
            var divisor = largestDivisor
            while divisor > 0 {
                bytes.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10))
                divisor /= 10
            }
            bytes.append(UInt8(ascii: separator))
        }
        add(year, 1000, then: "-")
        add(month, 10, then: "-")
        add(day, 10, then: "T")
        add(Int(secondOfDay / 3600), 10, then: ":")
        add(Int(secondOfDay % 3600 / 60), 10, then: ":")
        add(Int(secondOfDay % 60), 10, then: ".")
        add(Int(fraction), 100, then: "Z")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The moment that a `date-time` of §5.6 names, in UTC or with an offset. A leap second is the first of the next minute.
    /// - Returns: nil for anything else, a day that no calendar has included.
    public static func date(_ text: String) -> Date? {
        var rest = text.utf8[...]
        guard let year = digits(4, &rest), skip("-", &rest), let month = digits(2, &rest), skip("-", &rest), let day = digits(2, &rest),
            skip("Tt", &rest), let hour = digits(2, &rest), skip(":", &rest), let minute = digits(2, &rest), skip(":", &rest),
            let second = digits(2, &rest), hour < 24, minute < 60, second <= 60, let fraction = fraction(&rest),
            let offsetSeconds = offset(&rest), rest.isEmpty
        else { return nil }
        guard let calendarDay = CalendarDay(year: year, month: month, day: day) else { return nil }
        let days = calendarDay.daysSince2000 + daysFrom1970To2000
        let secondOfDay = hour * 3_600 + minute * 60 + second
        return Date(timeIntervalSince1970: Double(days * 86_400 + secondOfDay - offsetSeconds) + fraction)
    }

    private static let daysFrom1970To2000 = 10_957

    private static func digits(_ count: Int, _ rest: inout Substring.UTF8View) -> Int? {
        let taken = rest.prefix(count)
        guard taken.count == count, taken.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        rest = rest.dropFirst(count)
        return taken.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// Takes one character of several; false when another one, or none, is there.
    private static func skip(_ characters: StaticString, _ rest: inout Substring.UTF8View) -> Bool {
        guard let next = rest.first, characters.withUTF8Buffer({ $0.contains(next) }) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Decimals of a second, at most nine; 0 where there are none.
    private static func fraction(_ rest: inout Substring.UTF8View) -> Double? {
        guard skip(".", &rest) else { return 0 }
        let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
        guard (1...9).contains(count), let decimals = digits(count, &rest) else { return nil }
        return Double(decimals) / (0..<count).reduce(1.0) { power, _ in power * 10 }
    }

    /// Seconds east of UTC.
    private static func offset(_ rest: inout Substring.UTF8View) -> Int? {
        if skip("Zz", &rest) { return 0 }
        let isWest = rest.first == UInt8(ascii: "-")
        guard skip("+-", &rest), let hours = digits(2, &rest), skip(":", &rest), let minutes = digits(2, &rest), hours < 24, minutes < 60
        else { return nil }
        return (isWest ? -1 : 1) * (hours * 3_600 + minutes * 60)
    }
}

extension Int64 {
    fileprivate func quotientFloored(by divisor: Int64) -> Int64 { (self - remainderFloored(by: divisor)) / divisor }
    fileprivate func remainderFloored(by divisor: Int64) -> Int64 { (self % divisor + divisor) % divisor }
}
