// References of ISO 11649: what is one, and which slips are noticed.
import Testing

@testable import Primitives

@Suite("Creditor references")
struct CreditorReferenceTests {
    @Test("References of the literature are sound, however they are typed", arguments: [
        // From guides of banks to ISO 11649; the last is the first with zeros before it.
        "RF18 5390 0754 7034", "rf185390 07547034", "RF712348231", "RF18000000000539007547034",
    ])
    func sound(text: String) throws {
        let reference = try #require(CreditorReference(text))
        #expect(CreditorReference(reference.description) == reference && CreditorReference(reference.printed) == reference)
        #expect(!reference.description.contains(" "))
    }

    @Test("Printed in groups of four")
    func printed() {
        #expect(CreditorReference("RF18539007547034")?.printed == "RF18 5390 0754 7034")
        #expect(CreditorReference("RF712348231")?.printed == "RF71 2348 231")
    }

    @Test("What is none is none", arguments: [
        "", "RF", "RF18", "RF1", "XX18539007547034", "RF18539007547035", "RF18539007547-034", "RFA8539007547034", "RF18539007547034\n",
        "RF18" + String(repeating: "0", count: 22), String(repeating: " ", count: 100), "RF18539007547034é",
    ])
    func none(text: String) {
        #expect(CreditorReference(text) == nil)
    }

    @Test("Every wrong digit and every swap of neighbours is noticed")
    func slips() {
        let digits = Array("RF18539007547034")
        for position in 2..<digits.count {
            for digit in "0123456789" where digit != digits[position] {
                var wrong = digits
                wrong[position] = digit
                #expect(CreditorReference(String(wrong)) == nil, "\(String(wrong))")
            }
            guard position + 1 < digits.count, digits[position] != digits[position + 1] else { continue }
            var swapped = digits
            swapped.swapAt(position, position + 1)
            #expect(CreditorReference(String(swapped)) == nil, "\(String(swapped))")
        }
    }

    @Test("References are found in what payers write, each once, and none that is not there", arguments: [
        ("RF18 5390 0754 7034", ["RF18539007547034"]), ("Invoice: rf18539007547034, thank you", ["RF18539007547034"]),
        ("RF18 5390 0754 7034 and RF712348231", ["RF18539007547034", "RF712348231"]), ("RF18 5390 0754 7034 RF18539007547034", ["RF18539007547034"]),
        ("RF18 5390 0754 7035", []), ("no reference", []), ("RF", []), ("", []),
    ])
    func found(text: String, references: [String]) {
        #expect(CreditorReference.found(in: text).map(\.description) == references)
    }
}
