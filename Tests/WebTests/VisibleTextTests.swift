// What people send and others read: nothing in it hides or turns the words around it.
import Testing
import Web

@Suite struct VisibleTextTests {
    @Test(arguments: ["C-7", "Ärzte/7 é ✓", "ملف ٧", "卷宗 12"])
    func oneLineThatIsWhatItSeems(text: String) {
        #expect(text.isOneVisibleLine && text.isVisibleText)
    }

    @Test("Fillers that look like nothing are part of no reference", arguments: ["\u{3164}", "\u{FFA0}", "\u{115F}", "\u{1160}", "\u{2800}", "\u{200B}", "\u{202E}", "\n"])
    func blanks(blank: String) {
        #expect(!blank.isOneVisibleLine && !("C" + blank + "7").isOneVisibleLine && !blank.isVisibleText)
    }

    @Test("Several lines with the joiners and marks of their script are text; what controls or turns it is not")
    func severalLines() {
        #expect("One\n\ttwo".isVisibleText && "نمی\u{200C}خواهم\u{200F}".isVisibleText && "👩‍👩‍👧 ❤️".isVisibleText)
        for scalar in ["\u{0}", "\u{7}", "\u{7F}", "\u{85}", "\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}", "\u{E000}"] {
            #expect(!("Who" + scalar + "was it").isVisibleText)
        }
        #expect(!" \n".isVisibleText && !"".isVisibleText)
    }
}
