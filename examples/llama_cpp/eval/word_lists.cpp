// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "word_lists.hpp"

#include <vector>

namespace kvsieve::llama_example {
namespace {

constexpr std::string_view adjectives_text =
    "amber ancient azure bashful blunt brave brisk bronze calm careful clever copper cordial crimson curious "
    "dusty eager early elder faint fearless fierce frosty gentle gilded glassy golden graceful hasty hidden "
    "hollow humble icy idle jolly keen lively lonely lucid mellow merry mighty misty modest nimble noble olive "
    "patient polite proud quiet rapid restless rustic scarlet secret silent silver solemn steady stormy sturdy "
    "sunny tender";

constexpr std::string_view nouns_text =
    "anchor badger beacon bishop bramble bridge candle canyon castle cedar cobbler comet compass cottage cradle "
    "cricket dolphin dragon falcon ferry fiddle fountain garden glacier hammer harbour heron island jacket "
    "juniper kettle ladder lantern lizard magpie marble meadow mirror monk orchard otter parade pebble pilgrim "
    "pirate planet puppet quarry raven ribbon saddle sailor shepherd signal sparrow statue temple thistle tiger "
    "trumpet turtle violin walrus willow";

constexpr std::string_view words_text =
    "absence account acorn action address advice afternoon airport album alcohol almond almanac ambition amount "
    "analysis angle ankle answer antler anvil apartment apple apron arcade archer arena argument armour arrival "
    "article ashes aspect asphalt athlete atlas attic auction audience aunt author autumn avenue award awning "
    "bacon baggage bakery balance balcony ballot bamboo banana bandage banjo banquet bargain barley barrel "
    "basement basil basket battery beard beaver bedroom beetle belief bench berry bicycle biscuit blanket blossom "
    "border bottle boulder bouquet bracelet branch brass bread breeze brick broom brother bucket budget buffalo "
    "bullet bundle burden butcher butter button cabbage cabin cable cactus calendar camera campus canal canoe "
    "canvas capital captain carbon career carpet carriage carrot cattle ceiling celery cellar cement century "
    "cereal chain chalk chamber channel chapel charcoal cheese cherry chicken chimney chorus cinema circle circus "
    "citizen clay climate clinic closet cloud clover coach coast coconut coffee collar colony column comedy "
    "comfort concert contract corner cotton couch council country county courage cousin cover cracker crane "
    "crayon cream creek crew crown crystal culture cupboard curtain cushion custom cylinder daisy damage dancer "
    "danger daughter dealer debate decade degree delay delight dentist deputy desert desk dessert detail device "
    "devil diagram dialect diamond diary diesel dinner diploma director discount disease display distance "
    "district doctor document donkey doorway dozen draft drama drawer driver drought drummer duchess dungeon "
    "eagle earring earth echo editor effort elbow elephant elevator emperor empire engine envelope episode "
    "equator errand escape estate evening event exam exchange exit export fabric factor failure faith family "
    "famine farmer fashion father fault feather fellow fence fever fiction figure finger fireplace fisher flame "
    "flavour flight flood floor flour flower flute folder forest fork fortune fossil frame freight friend "
    "frontier fruit funeral furniture future galaxy gallery gallon garage garlic gasoline gateway gender genius "
    "geometry ghost giant ginger giraffe glove goat goose gossip gown grammar grandson granite grape gravel "
    "gravity grocery guard guest guitar gulf gymnast habit hallway hamlet handle harvest hatchet hazard headline "
    "heart hedge helmet herb hermit hero highway hobby holiday honey horizon hornet horse hospital hostel hotel "
    "hunter hurdle husband hydrogen idea idiom image impact income index infant injury insect instrument invoice "
    "iron ivory jaguar janitor jasmine jelly jewel journal journey judge juice jungle justice kangaroo kayak "
    "keyboard kidney kingdom kitchen kitten knee knife knight knot label labour lagoon lake language laundry "
    "lawyer leather lecture legend lemon leopard lesson letter level library licence lilac limit linen liquid "
    "liver loaf lobster locket logic lotion lounge luggage lumber lunch lung machine magnet maiden mammal manner "
    "mansion manual maple marathon margin market marriage mattress mayor measure medal medicine melody member "
    "memory merchant message metal method midnight milk miller mineral minister minute missile mixture model "
    "moment monarch money monkey month morning mosaic mosquito mother motor mountain mouse mouth muscle museum "
    "music mustard mystery napkin nation nature needle nephew network niece nickel noise noodle north nose "
    "notebook notion novel nurse nutmeg oatmeal object ocean octopus office olympics onion opera opinion option "
    "orange orbit orchestra organ origin ornament ostrich outfit oven oxygen oyster package paddle palace pancake "
    "panther paper parcel parent parrot partner pasture patent pattern pavement payment peanut pencil penguin "
    "pension pepper percent period permit person phone phrase physics piano pickle picnic picture pigeon pillow "
    "pilot pipeline pistol pitcher plastic platform player plaza pledge pocket poem poet police policy polish "
    "pollen popcorn porch portrait possum potato pottery poultry powder prairie prayer president pretzel prince "
    "prison prize problem product profit program promise protein proverb province pudding pulley pumpkin puzzle "
    "pyramid quality quantity quarter queen question quilt quota rabbit radar radio railway rain raisin rattle "
    "razor reason receipt recipe record referee reflex refuge region relief remedy report rescue resort result "
    "reunion reward rhythm rifle robot rocket rooster rope route royalty rubber rumour runner sacrifice safari "
    "salad salmon sandal satin saucer sausage scandal scarecrow school science scissors score scout screen "
    "sculptor season section segment senate sentence series sermon servant shadow shampoo shelter sheriff shield "
    "shirt shovel shower shrimp sibling silence singer sister skeleton sketch slogan smoke snail soccer society "
    "socket soldier solution sonnet source south spade speaker species spider spinach spirit sponge spoon squad "
    "squirrel stable stadium staircase stamp station steam stomach storage story stranger stream street student "
    "studio subject suburb subway success sugar suitcase summer supper surface surgeon sweater symbol syrup "
    "system tablet tailor talent target tavern taxi teacher telegram tenant tennis terrace territory texture "
    "theatre theory thermometer thief thread throat thumb thunder ticket timber tissue title toast tobacco tomato "
    "tongue tooth topic tornado towel tower tractor traffic tragedy trailer transport traveller treasure treaty "
    "tribe triumph trophy trouble trousers truck tunnel turkey tutor twilight umbrella uncle uniform universe "
    "upgrade urchin usher utensil vacation vaccine valley vampire vanilla vehicle vendor verdict vessel veteran "
    "victory village vinegar vineyard virtue visitor vitamin vocabulary volcano volume voyage wagon waiter wallet "
    "walnut wardrobe warehouse warrior washer water wealth weather wedding weekend welfare western wheat wheel "
    "whisper whistle widow winner winter wisdom witness wolf woman wooden worker workshop wrench";

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    auto const word = text.substr(0, text.find(' '));
    out.push_back(word);
    text.remove_prefix(word.size() + (word.size() < text.size() ? 1 : 0));
  }
  return out;
}

}  // namespace

std::span<std::string_view const> adjectives() {
  static std::vector<std::string_view> const list = words_of(adjectives_text);
  return list;
}
std::span<std::string_view const> nouns() {
  static std::vector<std::string_view> const list = words_of(nouns_text);
  return list;
}
std::span<std::string_view const> counted_words() {
  static std::vector<std::string_view> const list = words_of(words_text);
  return list;
}

}  // namespace kvsieve::llama_example
