// What the check character promises is small enough to be tried completely.
import Foundation
import Primitives
import Testing

private let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

/// The same codes in every run.
private struct Counter: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

private func codes(_ count: Int) -> [PublicCode] {
    var generator = Counter(state: 42)
    return (0..<count).map { _ in PublicCode.random(using: &generator) }
}

@Suite("PublicCode")
struct PublicCodeTests {
    @Test("catches every substitution of one character, the check character included")
    func everySingleError() {
        var tried = 0
        for code in codes(200) {
            let characters = Array(code.compact)
            for position in characters.indices {
                for other in alphabet where other != characters[position] {
                    var wrong = characters
                    wrong[position] = other
                    #expect(throws: PublicCodeError.checkFailed) { try PublicCode.parse(String(wrong)) }
                    tried += 1
                }
            }
        }
        #expect(tried == 200 * 9 * 31)
    }

    @Test("catches every swap of two different characters, neighbours or not")
    func everySwap() {
        var tried = 0
        for code in codes(500) {
            let characters = Array(code.compact)
            for first in characters.indices {
                for second in characters.indices where second > first && characters[first] != characters[second] {
                    var wrong = characters
                    wrong.swapAt(first, second)
                    #expect(throws: PublicCodeError.checkFailed) { try PublicCode.parse(String(wrong)) }
                    tried += 1
                }
            }
        }
        #expect(tried > 500 * 30)
    }

    @Test("catches the swap of every pair of characters at every pair of neighbouring places")
    func everyPairAtEveryPlace() throws {
        // All other characters zero: the sum is linear, so what holds here holds whatever surrounds the pair.
        for position in 0..<7 {
            for left in alphabet {
                for right in alphabet where left != right {
                    var data = Array(repeating: Character("0"), count: 8)
                    data[position] = left
                    data[position + 1] = right
                    let check = try #require(alphabet.first { PublicCode(String(data) + String($0)) != nil })
                    data.swapAt(position, position + 1)
                    #expect(PublicCode(String(data) + String(check)) == nil)
                }
            }
        }
    }

    @Test("fits exactly one check character to any data, as the documented formula says")
    func documentedFormula() throws {
        // GF(32) multiplication written out independently: polynomials over GF(2) modulo x⁵ + x² + 1.
        func multiply(_ left: Int, _ right: Int) -> Int {
            var product = 0
            for bit in 0..<5 where right >> bit & 1 == 1 { product ^= left << bit }
            for bit in (5..<9).reversed() where product >> bit & 1 == 1 { product ^= 0b100101 << (bit - 5) }
            return product
        }
        for code in codes(100) {
            let values = try code.compact.map { try #require(alphabet.firstIndex(of: $0)) }
            var weight = 1
            var sum = 0
            for value in values.dropLast() {
                weight = multiply(weight, 2)
                sum ^= multiply(weight, value)
            }
            #expect(sum == values[8])
            let data = code.compact.dropLast()
            #expect(alphabet.filter { PublicCode(data + String($0)) != nil }.count == 1)
        }
    }

    @Test("is read in any case, with or without hyphens and spaces, and with the letters that look like digits")
    func lenientReading() throws {
        let code = try #require(codes(300).first { $0.compact.contains("0") && $0.compact.contains("1") })
        let typed = code.compact
        let parts = code.description.split(separator: "-")
        let variants = [
            code.description, typed, typed.lowercased(), " \(parts[0]) \(parts[1])\u{A0}\(parts[2])\n",
            parts.joined(separator: "\u{2013}"), typed.map(String.init).joined(separator: " - "),
            typed.replacing("0", with: "O").replacing("1", with: "I"), typed.replacing("0", with: "o").replacing("1", with: "l"),
            typed.replacing("1", with: "i"), typed.replacing("1", with: "L"),
        ]
        for variant in variants { #expect(try PublicCode.parse(variant) == code, "\(variant)") }
    }

    @Test("says what is wrong with what cannot be a code")
    func refusals() {
        let code = codes(1)[0].compact
        for short in ["", "-", String(code.dropLast()), code + "0", String(repeating: " ", count: 65)] {
            #expect(throws: PublicCodeError.wrongLength) { try PublicCode.parse(short) }
        }
        for strange in ["U", "*", "é", "٣", "\0", "\u{212A}"] {  // the last is the Kelvin sign
            #expect(throws: PublicCodeError.unknownCharacter) { try PublicCode.parse(String(code.dropLast()) + strange) }
        }
    }

    @Test("prints as XXX-XXX-XXX, travels through JSON, and random ones differ")
    func printingAndCoding() throws {
        let code = PublicCode.random()
        #expect(code.description.wholeMatch(of: /[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{3}){2}/) != nil)
        let data = try JSONEncoder().encode([code])
        #expect(try JSONDecoder().decode([PublicCode].self, from: data) == [code])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([PublicCode].self, from: Data(#"["123-456-780"]"#.utf8)) }
        #expect(Set((0..<1000).map { _ in PublicCode.random() }).count == 1000)
    }
}
