// The strict JSON scanner and reader: what is refused comes first, because that is what they are for.
import Foundation
import HTTPTypes
import Hummingbird
import Testing

@testable import Web

private func scan(_ text: String) -> Result<JSONValue, JSONScanner.Refusal> {
    Result { () throws(JSONScanner.Refusal) in try JSONScanner.scan(text.utf8) }
}

private func refuses(_ text: String, _ words: String) -> Bool {
    if case .failure(let refusal) = scan(text) { return refusal.reason.contains(words) }
    return false
}

@Suite struct JSONScannerTests {
    @Test(arguments: [
        ("", "too early"), ("{", "in double quotes"), ("{\"a\":1,}", "in double quotes"), ("[1,]", "value was expected"),
        ("[1 2]", "comma"),
        ("{\"a\" 1}", "colon"), ("{\"a\":1} x", "after the end"), ("{}{}", "after the end"), ("tru", "value was expected"),
        ("nul", "value was expected"),
        ("'a'", "value was expected"), ("\"a", "not closed"), ("\"\\x\"", "escape does not exist"), ("\"\\u12\"", "hexadecimal"),
        ("\"\\ud800\"", "surrogate"), ("\"\\ud800\\u0041\"", "surrogate"), ("\"\\udc00\"", "surrogate"), ("\"a\\u0000b\"", "NUL"),
        ("\"a\u{0}b\"", "control character"), ("\"a\nb\"", "control character"), ("01", "begin with 0"), ("-", "digit"), ("1.", "digit"),
        (".5", "value was expected"),
        ("+1", "value was expected"), ("1e", "digit"), ("NaN", "value was expected"), ("Infinity", "value was expected"),
        ("// x\n1", "value was expected"),
        ("{\"a\":1,\"a\":2}", "appears twice"), ("{\"a\":1,\"\\u0061\":2}", "appears twice"), ("\u{FEFF}{}", "value was expected"),
        (String(repeating: "[", count: 17) + String(repeating: "]", count: 17), "more than 16 levels"),
        (String(repeating: "{\"a\":", count: 17) + "1" + String(repeating: "}", count: 17), "more than 16 levels"),
    ])
    func refusesWhatIsAmbiguousOrMalformed(text: String, words: String) {
        #expect(refuses(text, words), "\(text) → \(scan(text))")
    }

    @Test func invalidUTF8IsRefused() {
        for bytes in [[0xC3, 0x28], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF]] as [[UInt8]] {
            #expect(throws: JSONScanner.Refusal.self) { try JSONScanner.scan([0x22] + bytes + [0x22]) }
        }
    }

    @Test func whatJSONAllowsIsRead() throws {
        #expect(try scan(" {\"a\" : [1, -2, true , false, null, \"x\"] }\r\n\t").get() == ["a": [1, -2, true, false, nil, "x"]])
        #expect(try scan("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é\"").get() == .string("\"\\/\u{8}\u{C}\n\r\té😀é"))
        #expect(try scan("9223372036854775807").get() == .integer(.max))
        #expect(try scan(String(repeating: "[", count: 16) + String(repeating: "]", count: 16)).get() != .null)
    }

    @Test(arguments: ["1.0", "1e3", "1E3", "0.5", "-0.0", "9223372036854775808", "-9223372036854775809"])
    func numbersThatAreNotWholeKeepTheirWrittenForm(text: String) throws {
        #expect(try scan(text).get() == .number(text))
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let value: JSONValue = ["text": "a\"\\\n\u{1}é😀</script>", "list": [1, nil, true], "empty": []]
        #expect(try JSONScanner.scan(value.serialised()) == value)
        #expect(try JSONSerialization.jsonObject(with: Data(value.serialised())) is [String: Any])
    }

    @Test func everyPrefixOfADocumentIsRefusedAndNothingCrashes() throws {
        let text = Array(#"{"a":[1.5e-3,"\ud83d\ude00",{"b":null}],"c":true}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: JSONScanner.Refusal.self) { try JSONScanner.scan(text[..<length]) }
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            var mutated = text
            mutated[Int.random(in: 0..<text.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            // Foundation is the more lenient reader: what we accept, it accepts.
            if (try? JSONScanner.scan(mutated)) != nil { #expect((try? JSONSerialization.jsonObject(with: Data(mutated))) != nil) }
        }
    }
}

@Suite struct JSONReaderTests {
    private enum Colour: String, CaseIterable { case red, blue }

    private func reader(_ text: String) throws -> JSONReader { try JSONReader(JSONScanner.scan(text.utf8)) }

    @Test func everyBadAndUnknownFieldIsNamedAtOnce() throws {
        var body = try reader(#"{"purpose":"","count":1.0,"id":"x","names":["a","a"],"colour":"green","extra":1}"#)
        _ = body.string("purpose", charactersMax: 10)
        _ = body.integer("count")
        _ = body.uuid("id")
        _ = body.strings("names", countMax: 5, charactersMax: 5)
        _ = body.choice("colour", of: Colour.self)
        _ = body.string("absent", charactersMax: 3)
        let problem = #expect(throws: Problem.self) { try body.finish() }
        #expect(problem?.status == .badRequest)
        #expect(
            problem?.errors.map { "\($0.field): \($0.code)" } == [
                "purpose: empty", "count: wrong_type", "id: wrong_type", "names: duplicate", "colour: not_a_choice",
                "absent: missing", "extra: unknown",
            ])
    }

    @Test func goodFieldsComeThroughAndNullIsAbsence() throws {
        var body = try reader(#"{"a":"é","n":-5,"id":"0191AAAA-0000-7000-8000-000000000001","s":["x"],"c":"blue","none":null}"#)
        let text = body.string("a", charactersMax: 1)
        let numbers = [body.integer("n", in: -5...5), body.optionalInteger("missing"), body.optionalInteger("none")]
        let (id, list, colour) = (body.uuid("id"), body.strings("s", countMax: 1, charactersMax: 1), body.choice("c", of: Colour.self))
        try body.finish()
        #expect(text == "é")
        #expect(numbers == [-5, nil, nil])
        #expect(id.uuidString == "0191AAAA-0000-7000-8000-000000000001")
        #expect(list == ["x"] && colour == .blue)
    }

    @Test(arguments: [#"{"n":6}"#, #"{"n":"5"}"#, #"{"n":5.0}"#, #"{"n":5e0}"#, #"{"n":92233720368547758070}"#, #"{"n":true}"#])
    func aNumberIsWholeAndInRangeOrRefused(text: String) throws {
        var body = try reader(text)
        _ = body.integer("n", in: 0...5)
        #expect(throws: Problem.self) { try body.finish() }
    }

    @Test func onlyAnObjectIsABody() {
        for text in ["[]", "1", "\"x\"", "null"] {
            #expect(throws: Problem.self) { try reader(text) }
        }
    }

    @Test(arguments: [
        ("1996-12-19T16:39:57-08:00", 851_042_397), ("1996-12-20T00:39:57Z", 851_042_397), ("1990-12-31T23:59:60Z", 662_688_000),
        ("2000-02-29t12:00:00.250z", 951_825_600.25), ("1937-01-01T12:00:27.87+00:20", -1_041_337_172.13),
    ] as [(String, TimeInterval)])
    func momentsAreReadAsRFC3339WritesThem(text: String, seconds: TimeInterval) throws {
        var reader = try JSONReader(.object([JSONMember("at", .string(text))]))
        let moment = reader.optionalMoment("at")
        try reader.finish()
        let found = try #require(moment)
        #expect(abs(found.timeIntervalSince1970 - seconds) < 0.000_001)
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-11-21T04:39:00", "2026-11-21 04:39:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T04:60:00Z", "2026-11-21T04:39:61Z", "2026-11-21T04:39:00.Z", "2026-11-21T04:39:00+1:00",
        "2026-11-21T04:39:00Zx", "26-11-21T04:39:00Z", "+026-11-21T04:39:00Z", "2026-11-21T04:39:00.1234567890Z",
    ])
    func whatIsNoMomentIsRefused(text: String) throws {
        var reader = try JSONReader(.object([JSONMember("at", .string(text))]))
        let moment = reader.optionalMoment("at")
        #expect(moment == nil)
        #expect(reader.errors.map(\.field) == ["at"])
    }

    @Test func answersHaveOneShape() throws {
        struct Thing: Encodable {
            let publicCode: String
            let at: Date
            let none: String?
        }
        let response = try Response.json(Thing(publicCode: "a/b", at: Date(timeIntervalSince1970: 1_795_149_540.1234), none: nil))
        #expect(response.headers[.contentType] == "application/json")
        #expect(response.body.contentLength == #"{"at":"2026-11-20T04:39:00.123Z","public_code":"a/b"}"#.utf8.count)
        #expect(RFC3339.text(Date(timeIntervalSince1970: 1_795_149_540.1234)) == "2026-11-20T04:39:00.123Z")
        #expect(RFC3339.text(Date(timeIntervalSince1970: -0.5)) == "1969-12-31T23:59:59.500Z")
    }
}
