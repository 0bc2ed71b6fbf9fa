import "backhaul/element";
import "backhaul/style.css";
