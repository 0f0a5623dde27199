// The pages of the print queue, as what they show.
import Foundation
import Register
import Web

/// `/staff/letters`: what waits. Nobody's name: that comes with the letter.
struct LetterQueuePage: PageModel {
    static let template = "delivery/letters"

    var letters: [Item]

    static let fields: Fields<Self> = ["letters": .list(\.letters), "is_empty": .flag(\.letters.isEmpty)]

    init(_ letters: [WaitingLetter], _ context: some PageContext) {
        self.letters = letters.map { Item($0, context) }
    }

    struct Item: ViewModel {
        var reference: String
        var about: String
        var since: String
        var printed: String?
        var link: Link
        var posted: Link

        static let fields: Fields<Self> = [
            "reference": .text(\.reference), "about": .text(\.about), "since": .text(\.since), "printed": .optionalText(\.printed), "is_printed": .flag { $0.printed != nil },
            "link": .link(\.link),
            "posted": .link(\.posted),
        ]

        init(_ letter: WaitingLetter, _ context: some PageContext) {
            reference = letter.reference
            about = context.text("delivery.letters.about.\(letter.template)")
            since = context.format.dateTime(letter.madeAt)
            printed = letter.printed.map { context.text("delivery.letters.printed", ["name": $0.by.isolated, "at": context.format.dateTime($0.at)]) }
            link = Link("/staff/letters/\(letter.id)")
            posted = Link("/staff/letters/\(letter.id)/posted")
        }
    }
}

/// `/staff/letters/{letter}`: to print, in the language of whoever gets it.
struct OutgoingLetterPage: PageModel {
    static let template = "delivery/letter"

    var address: [String]
    var hasAddress: Bool
    var date: String
    var reference: String
    var language: String
    var direction: String
    var subject: String
    var paragraphs: [String]
    var posted: Link

    static let fields: Fields<Self> = [
        "address": .texts(\.address), "has_address": .flag(\.hasAddress), "date": .text(\.date), "reference": .text(\.reference), "language": .text(\.language),
        "direction": .text(\.direction), "subject": .text(\.subject), "paragraphs": .texts(\.paragraphs), "posted": .link(\.posted),
    ]

    init(_ letter: WaitingLetter, to addressee: OpenedRecord, _ words: LetterWords, _ context: some PageContext) {
        let town = [addressee.value(.postcode), addressee.value(.locality)].compactMap(\.self).joined(separator: " ")
        address = [addressee.name, addressee.value(.street), town].compactMap(\.self).filter { !$0.isEmpty }
        hasAddress = addressee.value(.street) != nil || addressee.value(.locality) != nil
        date = context.format(in: words.language).day(letter.madeAt)
        reference = letter.reference
        (language, direction, subject, paragraphs) = (words.language.tag, words.language.direction, words.subject, words.paragraphs)
        posted = Link("/staff/letters/\(letter.id)/posted")
    }
}
